//! How the handles wake the driver: one atomic, and no wake-up that nobody needs.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Context;

use futures_util::task::AtomicWaker;

#[derive(Debug, Default)]
pub(crate) struct DriverWaker {
    waker: AtomicWaker,
    woken: AtomicBool,
}

impl DriverWaker {
    /// There is work for the driver.
    pub(crate) fn wake(&self) {
        if !self.woken.swap(true, Ordering::AcqRel) {
            self.waker.wake();
        }
    }

    /// To be called by the driver before it looks for work: what comes after this wakes it again.
    pub(crate) fn listen(&self, cx: &mut Context<'_>) {
        self.waker.register(cx.waker());
        // A swap, not a store: if a `wake` came first and found no need to wake, what it tells of must be seen from here on.
        self.woken.swap(false, Ordering::AcqRel);
    }
}
