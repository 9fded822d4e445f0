//! Reaching a running relay from other threads.

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use mio::Waker;

use crate::access::Access;
use crate::certificate::TlsConfig;
use crate::stats::ServerStats;

/// Stops a relay, and asks it for its counters. Cheap to clone, and good after the relay is gone.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

struct Shared {
    waker: Waker,
    stop: AtomicBool,
    gather: AtomicBool,
    questions: Mutex<Questions>,
    reload: Mutex<Reload>,
}

/// What a running relay shall take instead of what it has, for [`Handle::reload`]. What is `None` stays as it is.
#[derive(Clone, Default, Debug)]
#[non_exhaustive]
pub struct Reload {
    /// What every listener that speaks TLS begins its connections with.
    pub tls: Option<TlsConfig>,
    /// Who may connect.
    pub access: Option<Access>,
}

/// Who wants to know the counters.
enum Questions {
    /// The loop runs, and answers these.
    Asked(Vec<SyncSender<ServerStats>>),
    /// The loop does not run; these are its first or last counters.
    Known(Box<ServerStats>),
}

impl Handle {
    pub(crate) fn new(waker: Waker) -> Self {
        let known = Questions::Known(Box::default());
        Self(Arc::new(Shared {
            waker,
            stop: AtomicBool::new(false),
            gather: AtomicBool::new(false),
            questions: Mutex::new(known),
            reload: Mutex::default(),
        }))
    }

    /// Asks the relay to stop: it listens no more, tells its clients to come back later, closes their connections with
    /// [`GoingAway`](phantom_core::wire::CloseCode::GoingAway), and [`run`](crate::RelayServer::run) returns after at most
    /// [`drain_timeout`](crate::ServerLimits::drain_timeout). Does not wait for that.
    pub fn stop(&self) {
        self.0.stop.store(true, Ordering::Release);
        self.wake();
    }

    /// The counters as of now; those of its end, if the relay has stopped; all zero, if it has not yet begun.
    #[must_use]
    pub fn stats(&self) -> ServerStats {
        match self.ask() {
            Ok(known) => known,
            // The loop answers, or leaves its last counters when it ends.
            Err(answer) => answer.recv().unwrap_or_default(),
        }
    }

    /// Gives a running relay new configuration for the connections that come from now on; those that are there keep theirs and notice
    /// nothing. Does not wait until the relay has taken it: [`stats`](Self::stats) called afterwards does.
    ///
    /// Files are read when the parts of a [`Reload`] are made, so nothing can go wrong here, and whoever cannot read a file leaves the
    /// relay as it is.
    pub fn reload(&self, new: Reload) {
        let mut reload = self.0.reload.lock().unwrap_or_else(PoisonError::into_inner);
        reload.tls = new.tls.or(reload.tls.take());
        reload.access = new.access.or(reload.access.take());
        drop(reload);
        self.wake();
    }

    /// Asks the relay's loop to make room on the pages of memory that its thread alone keeps from being empty: of use after a rush, before
    /// the allocator is asked to give pages back to the system. It holds up the loop for less than a millisecond. Does not wait until it
    /// is done: [`stats`](Self::stats) called afterwards does.
    pub fn gather_memory(&self) {
        self.0.gather.store(true, Ordering::Release);
        self.wake();
    }

    /// Whether that was asked since the last time.
    pub(crate) fn take_gather_memory(&self) -> bool {
        self.0.gather.swap(false, Ordering::Acquire)
    }

    /// What has been given and not yet taken.
    pub(crate) fn take_reload(&self) -> Reload {
        std::mem::take(&mut *self.0.reload.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The same as [`stats`](Self::stats), but waits no longer than this: `None` if the relay's loop runs and has not answered by then.
    #[must_use]
    pub fn stats_within(&self, patience: Duration) -> Option<ServerStats> {
        match self.ask() {
            Ok(known) => Some(known),
            Err(answer) => answer.recv_timeout(patience).ok(),
        }
    }

    /// Whether the relay was asked to [stop](Self::stop).
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.0.stop.load(Ordering::Acquire)
    }

    /// The counters if they are known without the loop, or where its answer will come.
    fn ask(&self) -> Result<ServerStats, Receiver<ServerStats>> {
        let (sender, answer) = sync_channel(1);
        match &mut *self.questions() {
            Questions::Known(stats) => return Ok((**stats).clone()),
            Questions::Asked(senders) => senders.push(sender),
        }
        self.wake();
        Err(answer)
    }

    /// From now on the loop answers. To say so twice changes nothing.
    pub(crate) fn begin(&self) {
        let mut questions = self.questions();
        // Whoever has asked since it began keeps waiting.
        if matches!(*questions, Questions::Known(_)) {
            *questions = Questions::Asked(Vec::new());
        }
    }

    /// Answers whoever has asked.
    pub(crate) fn answer(&self, stats: impl FnOnce() -> ServerStats) {
        let Questions::Asked(senders) = &mut *self.questions() else { return };
        if !senders.is_empty() {
            let stats = stats();
            for sender in senders.drain(..) {
                // Whoever does not wait any more does not need it.
                let _gone = sender.send(stats.clone());
            }
        }
    }

    /// The loop answers no more; these are its last counters.
    pub(crate) fn end(&self, stats: ServerStats) {
        self.answer(|| stats.clone());
        *self.questions() = Questions::Known(Box::new(stats));
    }

    fn wake(&self) {
        if let Err(error) = self.0.waker.wake() {
            log::warn!("the relay's loop cannot be woken: {error}");
        }
    }

    fn questions(&self) -> MutexGuard<'_, Questions> {
        self.0.questions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

/// A relay on a thread of its own. Dropping it stops it and waits for its end.
#[derive(Debug)]
pub struct RunningRelay {
    pub(crate) handle: Handle,
    pub(crate) local_addr: SocketAddr,
    pub(crate) scheme: &'static str,
    pub(crate) thread: Option<JoinHandle<io::Result<()>>>,
}

impl RunningRelay {
    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// What a client connects to.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.local_addr)
    }

    /// Its handle.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Stops it and waits for its end, at most [`drain_timeout`](crate::ServerLimits::drain_timeout).
    ///
    /// # Errors
    /// What [`run`](crate::RelayServer::run) returned.
    pub fn stop(mut self) -> io::Result<()> {
        self.end()
    }

    fn end(&mut self) -> io::Result<()> {
        self.handle.stop();
        match self.thread.take().map(JoinHandle::join) {
            None => Ok(()),
            Some(Ok(result)) => result,
            Some(Err(_panic)) => Err(io::Error::other("the relay's thread panicked")),
        }
    }
}

impl Drop for RunningRelay {
    fn drop(&mut self) {
        if let Err(error) = self.end() {
            log::warn!("the relay ended with an error: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A relay on a thread of its own begins twice: when the thread is made, and in it.
    #[test]
    fn a_question_is_not_lost_when_the_relay_begins() {
        let poll = mio::Poll::new().unwrap();
        let handle = Handle::new(Waker::new(poll.registry(), mio::Token(0)).unwrap());
        handle.begin();
        let answer = handle.ask().unwrap_err();
        handle.begin();
        handle.answer(|| ServerStats { accepted: 7, ..ServerStats::default() });
        assert_eq!(answer.try_recv().unwrap().accepted, 7);
    }
}
