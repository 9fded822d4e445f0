//! A transport between one client and the relay: messages in order, each way, with a delay; nothing is lost while it stands.

use std::collections::VecDeque;

use phantom_core::id::ConnId;
use phantom_core::time::{Duration, Instant};

/// What a link is like.
#[derive(Clone, Copy, Debug)]
pub struct Conditions {
    /// How long a message takes, each way.
    pub delay: Duration,
    /// How long a dial takes.
    pub dial: Duration,
    /// Bytes that the link holds towards the relay before the client must wait.
    pub up_max: usize,
    /// Bytes that the link holds towards the client before the relay stops reading from whoever sends to it.
    pub down_max: usize,
}

impl Default for Conditions {
    fn default() -> Self {
        Self {
            delay: Duration::from_millis(5),
            dial: Duration::from_millis(20),
            up_max: 64 << 10,
            down_max: 256 << 10,
        }
    }
}

/// Where the transport of a client stands.
pub(crate) enum Link {
    Down,
    Dialing { until: Instant },
    Up(Up),
}

impl Link {
    pub(crate) fn up(&self) -> Option<&Up> {
        match self {
            Self::Up(up) => Some(up),
            _ => None,
        }
    }

    pub(crate) fn up_mut(&mut self) -> Option<&mut Up> {
        match self {
            Self::Up(up) => Some(up),
            _ => None,
        }
    }

    /// The next moment at which anything moves on it.
    pub(crate) fn due(&self) -> Option<Instant> {
        match self {
            Self::Down => None,
            Self::Dialing { until } => Some(*until),
            Self::Up(up) => {
                let up_due = up.to_relay.due().filter(|_| up.blocked_by.is_none());
                [up_due, up.to_client.due()].into_iter().flatten().min()
            }
        }
    }
}

pub(crate) struct Up {
    /// The relay's end; none if the relay has closed it and the client has not noticed.
    pub(crate) conn: Option<ConnId>,
    pub(crate) to_relay: Pipe,
    pub(crate) to_client: Pipe,
    /// The relay does not read, because this receiver is full.
    pub(crate) blocked_by: Option<usize>,
}

impl Up {
    pub(crate) fn new(conn: ConnId) -> Self {
        Self { conn: Some(conn), to_relay: Pipe::default(), to_client: Pipe::default(), blocked_by: None }
    }
}

/// Messages on their way.
#[derive(Default)]
pub(crate) struct Pipe {
    queue: VecDeque<(Instant, Message)>,
    bytes: usize,
    /// Nothing comes out until it is lifted.
    pub(crate) stalled: bool,
}

pub(crate) enum Message {
    Frame(Vec<u8>),
    Close(u16),
}

impl Pipe {
    pub(crate) fn push(&mut self, at: Instant, message: Message) {
        if let Message::Frame(frame) = &message {
            self.bytes += frame.len();
        }
        self.queue.push_back((at, message));
    }

    pub(crate) fn due(&self) -> Option<Instant> {
        self.queue.front().filter(|_| !self.stalled).map(|&(at, _)| at)
    }

    pub(crate) fn pop(&mut self, now: Instant) -> Option<Message> {
        if self.due()? > now {
            return None;
        }
        let (_, message) = self.queue.pop_front()?;
        if let Message::Frame(frame) = &message {
            self.bytes -= frame.len();
        }
        Some(message)
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}
