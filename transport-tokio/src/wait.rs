//! How a `poll` function waits for a [`Notify`]: registered first, then looked again, so that nothing is missed in between.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use tokio::sync::Notify;
use tokio::sync::futures::OwnedNotified;

/// A wait that is kept between the calls of a `poll` function.
#[derive(Debug, Default)]
pub(crate) struct Wait(Option<Pin<Box<OwnedNotified>>>);

impl Wait {
    /// What `look` finds, now or after `notify` has told of a change.
    pub(crate) fn poll<T>(
        &mut self,
        cx: &mut Context<'_>,
        notify: &Arc<Notify>,
        mut look: impl FnMut() -> Option<T>,
    ) -> Poll<T> {
        loop {
            if let Some(found) = look() {
                self.0 = None;
                return Poll::Ready(found);
            }
            let first = self.0.is_none();
            let notified = self.0.get_or_insert_with(|| Box::pin(Arc::clone(notify).notified_owned()));
            match notified.as_mut().poll(cx) {
                Poll::Ready(()) => self.0 = None,
                // Whatever has changed before this wait was registered has told nobody.
                Poll::Pending if first => {
                    if let Some(found) = look() {
                        self.0 = None;
                        return Poll::Ready(found);
                    }
                    return Poll::Pending;
                }
                Poll::Pending => return Poll::Pending,
            }
        }
    }
}
