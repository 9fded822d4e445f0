//! A client as its owner sees it: made, named, asked, left.

use std::fmt;
use std::sync::Arc;

use futures_util::Stream;
use phantom_core::crypto::EncryptionKey;
use phantom_core::id::PeerId;
use tokio::sync::{mpsc, oneshot};

use crate::driver::Command;
use crate::news::News;
use crate::{AskError, Channel, ClientBuilder, ClientStats, Error, Event, Request};

/// A client: one link to a relay, and an ID there by which others ask for it.
///
/// It reconnects by itself, with growing pauses, and keeps its ID if the relay can give it back. Dropping it leaves the relay and
/// ends every channel at once; [`leave`](Self::leave) waits until that is done.
#[must_use = "dropping a client leaves the relay"]
pub struct Client {
    news: Arc<News>,
    commands: mpsc::UnboundedSender<Command>,
    /// The ID of the first time online, which there is always.
    first_id: PeerId,
}

impl Client {
    pub(crate) fn new(news: Arc<News>, commands: mpsc::UnboundedSender<Command>, first_id: PeerId) -> Self {
        Self { news, commands, first_id }
    }

    /// Connects to the relay at `url` (`ws://host[:port][/path]`, or `wss://`) and waits for an ID. Must be called on a tokio runtime
    /// with time and network enabled, where the client's task will run.
    ///
    /// Only this first time a failure is an error; later ones are told by [`Event::Offline`], and the client dials again. If the
    /// future is dropped, nothing remains.
    ///
    /// # Errors
    /// The part that failed, and what to try.
    pub async fn connect(url: impl Into<String>) -> Result<Self, Error> {
        Self::builder().relay(url).connect().await
    }

    /// A client with other settings than the defaults.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The client's ID: what the other side must know to ask for it. After a reconnect it may be another one; see
    /// [`Event::Online`].
    #[must_use]
    pub fn id(&self) -> PeerId {
        self.news.id().unwrap_or(self.first_id)
    }

    /// Whether the relay is reached now.
    #[must_use]
    pub fn is_online(&self) -> bool {
        self.news.is_online()
    }

    /// The key of this client, random unless it was set: to be told to the other side, by another way than the relay. From now on
    /// it counts as set, even if the future is dropped.
    ///
    /// # Errors
    /// [`Error::Left`] if the client's task is gone with its runtime.
    pub async fn encryption_key(&self) -> Result<EncryptionKey, Error> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Key { reply });
        answer.await.map_err(|_| Error::Left)
    }

    /// Sets the key of this client: for channels that are not secured and have no key of their own, and for those to come. A channel
    /// that is secured keeps its keys.
    pub fn set_encryption_key(&self, key: EncryptionKey) {
        self.command(Command::SetKey { key });
    }

    /// Asks the client `id` for a channel, and waits for its owner's decision: at most the time the relay sets, one minute by
    /// default. If the future is dropped, the request is withdrawn.
    ///
    /// # Errors
    /// What became of the request, or why it was not made.
    pub async fn ask(&self, id: PeerId) -> Result<Channel, AskError> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Ask { peer: id, reply });
        answer.await.unwrap_or(Err(AskError::Left))
    }

    /// The next request of somebody else; nothing after the client has left. Nothing is lost if the future is dropped. Requests
    /// that end before they are taken are not shown.
    pub async fn next_request(&self) -> Option<Request> {
        let (id, from) = self.news.next_request().await?;
        Some(Request::new(id, from, self.commands.clone()))
    }

    /// The next event; nothing after the client has left. Nothing is lost if the future is dropped. If nobody asks, the
    /// 256 latest are kept.
    pub async fn next_event(&self) -> Option<Event> {
        self.news.next_event().await
    }

    /// The same as a stream. Dropping the stream loses nothing; several of them share the events.
    pub fn events(&self) -> impl Stream<Item = Event> + Send + '_ {
        futures_util::stream::unfold(self, |client| async move { Some((client.next_event().await?, client)) })
    }

    /// The requests of others as a stream, like [`next_request`](Self::next_request).
    pub fn requests(&self) -> impl Stream<Item = Request> + Send + '_ {
        futures_util::stream::unfold(
            self,
            |client| async move { Some((client.next_request().await?, client)) },
        )
    }

    /// What this client has done so far. Nothing is lost if the future is dropped.
    ///
    /// # Errors
    /// [`Error::Left`] if the client's task is gone with its runtime.
    pub async fn stats(&self) -> Result<ClientStats, Error> {
        let (reply, answer) = oneshot::channel();
        self.command(Command::Stats { reply });
        answer.await.map_err(|_| Error::Left)
    }

    /// Dials at once instead of waiting: the network has changed, say. Does nothing while the relay is reached.
    pub fn dial_now(&self) {
        self.command(Command::DialNow);
    }

    /// Ends every channel at once, tells the relay, and waits until it has been told, at most two seconds.
    ///
    /// To lose nothing, [`close`](Channel::close) the channels before. If the future is dropped, the client leaves nevertheless.
    pub async fn leave(self) {
        let (done, gone) = oneshot::channel();
        self.command(Command::Leave { done: Some(done) });
        // An error says that the task has ended, which is what is waited for.
        let _ = gone.await;
    }

    fn command(&self, command: Command) {
        // If the driver is gone, so is the reply that the command carries; whoever waits for it sees that.
        let _ = self.commands.send(command);
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        self.command(Command::Leave { done: None });
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("id", &self.id()).finish_non_exhaustive()
    }
}
