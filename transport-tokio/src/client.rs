//! A client as its owner sees it: made, named, asked, left.

use std::fmt;
use std::sync::Arc;

use futures_util::Stream;
use phantom_core::client::{Client as Machine, ClientConfig, ClientLimits};
use phantom_core::crypto::EncryptionKey;
use phantom_core::id::PeerId;
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

use crate::driver::{Command, Driver};
use crate::link::Link;
use crate::news::News;
use crate::tls::Roots;
use crate::url::RelayUrl;
use crate::{AskError, Channel, ClientStats, Error, Event, Request};

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
    /// To lose nothing, [`close`](Channel::close) the channels before.
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

/// The settings of a client to be made.
#[derive(Clone, Debug, Default)]
#[must_use = "nothing happens before `connect`"]
pub struct ClientBuilder {
    relays: Vec<String>,
    limits: ClientLimits,
    channels: Option<u8>,
    key: Option<EncryptionKey>,
    roots: Vec<Vec<u8>>,
}

impl ClientBuilder {
    /// Adds a relay: `ws://host[:port][/path]`, or `wss://`. If there are several, they are dialled in turn.
    pub fn relay(mut self, url: impl Into<String>) -> Self {
        self.relays.push(url.into());
        self
    }

    /// How many channels there may be at once, 1 to 64; 1 by default. The relay may grant fewer.
    pub fn channels(mut self, channels: u8) -> Self {
        self.channels = Some(channels);
        self
    }

    /// Sets the encryption key; without one the client makes a random one.
    pub fn key(mut self, key: EncryptionKey) -> Self {
        self.key = Some(key);
        self
    }

    /// Sets every limit and time; see [`ClientLimits`] for the defaults.
    pub fn limits(mut self, limits: ClientLimits) -> Self {
        self.limits = limits;
        self
    }

    /// Trusts these certificates, one or more as PEM, beside the system's, to vouch for `wss://` relays.
    pub fn root_certificate_pem(mut self, pem: &[u8]) -> Self {
        self.roots.push(pem.to_vec());
        self
    }

    /// Connects; see [`Client::connect`]. If there are several relays, each is tried once.
    ///
    /// # Errors
    /// What is wrong with the settings, or which part failed with the last relay tried, and what to try.
    pub async fn connect(self) -> Result<Client, Error> {
        let relays: Vec<_> = self.relays.iter().map(|url| RelayUrl::parse(url)).collect::<Result<_, _>>()?;
        if relays.is_empty() {
            return Err(Error::NoRelay);
        }
        let mut roots = Roots::default();
        for pem in &self.roots {
            roots.add_pem(pem)?;
        }
        let mut limits = self.limits;
        limits.channels_max = self.channels.unwrap_or(limits.channels_max);
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(&mut *seed).map_err(Error::Entropy)?;
        let machine = Machine::new(ClientConfig { limits, relays: relays.len(), key: self.key }, *seed);

        let (sender, receiver) = mpsc::unbounded_channel();
        let (reply, joined) = oneshot::channel();
        let news = Arc::new(News::default());
        let link = Link::new(relays, roots);
        // Leaves if this future is dropped.
        let guard = LeaveOnDrop(Some(sender.clone()));
        tokio::spawn(Driver::new(machine, link, (sender.clone(), receiver), Arc::clone(&news), reply));
        joined.await.unwrap_or(Err(Error::Left))?;
        let first_id = news.id().ok_or(Error::Left)?;
        guard.disarm();
        Ok(Client { news, commands: sender, first_id })
    }
}

/// Stops the driver unless the client has come to be.
struct LeaveOnDrop(Option<mpsc::UnboundedSender<Command>>);

impl LeaveOnDrop {
    fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for LeaveOnDrop {
    fn drop(&mut self) {
        if let Some(commands) = &self.0 {
            let _ = commands.send(Command::Leave { done: None });
        }
    }
}
