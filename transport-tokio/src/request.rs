//! A request of somebody else, to be accepted or declined.

use phantom_core::id::{PeerId, RequestId};
use tokio::sync::{mpsc, oneshot};

use crate::driver::Command;
use crate::{AskError, Channel};

/// Somebody asks to connect. Dropping it declines.
#[derive(Debug)]
#[must_use = "dropping a request declines it"]
pub struct Request {
    id: RequestId,
    from: PeerId,
    commands: mpsc::UnboundedSender<Command>,
    decided: bool,
}

impl Request {
    pub(crate) fn new(id: RequestId, from: PeerId, commands: mpsc::UnboundedSender<Command>) -> Self {
        Self { id, from, commands, decided: false }
    }

    /// Its number. The client never uses it again.
    #[must_use]
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// Who asks, as the relay says. Only the key proves who it is.
    #[must_use]
    pub fn from(&self) -> PeerId {
        self.from
    }

    /// Accepts, and waits for the channel.
    ///
    /// If the future is dropped, the channel is ended as soon as it is there.
    ///
    /// # Errors
    /// The request is over, or there is no room for a channel.
    pub async fn accept(mut self) -> Result<Channel, AskError> {
        self.decided = true;
        let (reply, answer) = oneshot::channel();
        let _ = self.commands.send(Command::Accept { request: self.id, reply });
        answer.await.unwrap_or(Err(AskError::Left))
    }

    /// Declines; the other side is told.
    pub fn decline(self) {}
}

impl Drop for Request {
    fn drop(&mut self) {
        if !self.decided {
            let _ = self.commands.send(Command::Decline { request: self.id });
        }
    }
}
