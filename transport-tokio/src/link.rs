//! The one way to a relay: none, being dialled, or a socket; and the last one, still saying goodbye.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use phantom_core::wire::CloseCode;

use crate::dial::{Means, Progress, dial};
use crate::socket::{Incoming, ROOM, Socket};
use crate::url::RelayUrl;
use crate::{Error, Step};

type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

pub(crate) struct Link {
    relays: Vec<RelayUrl>,
    means: Arc<Means>,
    /// The relay that was dialled last.
    relay: usize,
    state: State,
    goodbye: Option<Task<()>>,
}

enum State {
    Down,
    Dialing { task: Task<Result<Socket, Error>>, progress: Progress },
    Up(Box<Socket>),
}

/// What happened on a link.
pub(crate) enum Happened {
    Connected,
    DialFailed(Error),
    Incoming(Incoming),
}

impl Link {
    /// `relays` must not be empty.
    pub(crate) fn new(relays: Vec<RelayUrl>, means: Means) -> Self {
        Self { relays, means: Arc::new(means), relay: 0, state: State::Down, goodbye: None }
    }

    pub(crate) fn dial(&mut self, relay: usize) {
        self.relay = relay.min(self.relays.len() - 1);
        let progress = Progress::default();
        let task = Box::pin(dial(self.relays[self.relay].clone(), Arc::clone(&self.means), progress.clone()));
        self.state = State::Dialing { task, progress };
    }

    /// Gives up what there is. Returns what it was busy with.
    pub(crate) fn hang_up(&mut self, code: CloseCode) -> Option<Step> {
        match std::mem::replace(&mut self.state, State::Down) {
            State::Down => None,
            State::Dialing { progress, .. } => Some(progress.step()),
            State::Up(socket) => {
                self.goodbye = Some(Box::pin(socket.close(code)));
                Some(Step::Join)
            }
        }
    }

    /// Host and port of the relay that was dialled last.
    pub(crate) fn relay(&self) -> String {
        self.relays[self.relay].to_string()
    }

    pub(crate) fn relays(&self) -> usize {
        self.relays.len()
    }

    /// The next thing that happens.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Happened> {
        match &mut self.state {
            State::Down => Poll::Pending,
            State::Dialing { task, .. } => match task.as_mut().poll(cx) {
                Poll::Pending => Poll::Pending,
                Poll::Ready(Ok(socket)) => {
                    self.state = State::Up(Box::new(socket));
                    Poll::Ready(Happened::Connected)
                }
                Poll::Ready(Err(error)) => {
                    self.state = State::Down;
                    Poll::Ready(Happened::DialFailed(error))
                }
            },
            State::Up(socket) => {
                let incoming = std::task::ready!(socket.poll_incoming(cx));
                if let Incoming::Closed { .. } = incoming {
                    // The answer to the relay's goodbye.
                    self.hang_up(CloseCode::Normal);
                }
                Poll::Ready(Happened::Incoming(incoming))
            }
        }
    }

    /// Lets the last socket say goodbye. Ready when there is none that does.
    pub(crate) fn poll_goodbye(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(goodbye) = &mut self.goodbye {
            std::task::ready!(goodbye.as_mut().poll(cx));
            self.goodbye = None;
        }
        Poll::Ready(())
    }

    /// How many more bytes of data it takes now.
    pub(crate) fn room(&self) -> usize {
        match &self.state {
            State::Up(socket) => socket.room(),
            _ => ROOM,
        }
    }

    pub(crate) fn feed(&mut self, frame: &Bytes) {
        if let State::Up(socket) = &mut self.state {
            socket.feed(frame);
        }
    }

    /// Passes on what has been fed. Returns whether there was anything and it is all gone.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> bool {
        match &mut self.state {
            State::Up(socket) => socket.poll_flush(cx),
            _ => false,
        }
    }
}
