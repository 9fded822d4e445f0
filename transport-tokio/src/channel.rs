//! A channel as its owner sees it: packets to one other client and back.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::Stream;
use phantom_core::client::{End, Fate, SetKeyError};
use phantom_core::crypto::{EncryptionKey, Role};
use phantom_core::id::{ChannelId, PeerId};
use phantom_core::packet::{self, Packet, Registry};
use tokio::sync::{mpsc, oneshot};

use crate::driver::Command;
use crate::error::NO_CHANNEL;
use crate::pipe::Pipe;
use crate::{
    ByteStream, ChannelError, ChannelState, ChannelStats, HandleError, Handlers, ReceiveError, SendError,
};

/// A channel to one other client.
///
/// Packets go through when it is secured, that is, when both sides have set the same key; what is sent before waits. A cut of the
/// network does not end it: it waits for the other end as long as [`ClientLimits::patience`](crate::ClientLimits::patience) says
/// and goes on where it was.
///
/// All methods take `&self`: several tasks may share a channel behind an `Arc`, or take it apart with [`split`](Self::split).
///
/// Dropping a channel ends it at once: what the other side has not confirmed may be lost, and the other side is told. To have
/// everything arrive, [`close`](Self::close) it. Dropping the [`Client`](crate::Client) ends all its channels likewise.
#[derive(Debug)]
#[must_use = "dropping a channel ends it at once"]
pub struct Channel {
    sender: Sender,
    receiver: Receiver,
}

/// The sending half of a [`Channel`].
#[derive(Debug)]
pub struct Sender {
    handle: Arc<Handle>,
}

/// The receiving half of a [`Channel`]. When it is dropped, what comes is thrown away.
#[derive(Debug)]
pub struct Receiver {
    pub(crate) handle: Arc<Handle>,
}

/// What both halves hold; the last one to be dropped ends the channel.
pub(crate) struct Handle {
    pub(crate) pipe: Arc<Pipe>,
    commands: mpsc::UnboundedSender<Command>,
    /// The last half does not end the channel at once, but closes it.
    closes: AtomicBool,
}

impl Channel {
    pub(crate) fn new(pipe: Arc<Pipe>, commands: mpsc::UnboundedSender<Command>) -> Self {
        let handle = Arc::new(Handle { pipe, commands, closes: AtomicBool::new(false) });
        Self { sender: Sender { handle: Arc::clone(&handle) }, receiver: Receiver { handle } }
    }

    /// Its number. The client never uses it again.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.pipe().id
    }

    /// Who is at the other end.
    #[must_use]
    pub fn opponent(&self) -> PeerId {
        self.pipe().peer
    }

    /// Which side this one is.
    #[must_use]
    pub fn role(&self) -> Role {
        self.pipe().role
    }

    /// Sets the key of this channel alone; it comes before the client's. If the future is dropped, the key is set nevertheless.
    ///
    /// # Errors
    /// The channel is over, or is secured with another key, which it keeps.
    pub async fn set_key(&self, key: EncryptionKey) -> Result<(), SetKeyError> {
        let (reply, answer) = oneshot::channel();
        self.sender.handle.command(Command::SetChannelKey { channel: self.id(), key, reply });
        answer.await.unwrap_or(Err(NO_CHANNEL))
    }

    /// Allows as many guesses again at the key of a channel that is locked, and tries once more. Returns how many had failed; 0 if
    /// the channel is secured or over. If the future is dropped, it is unlocked nevertheless.
    pub async fn unlock(&self) -> u32 {
        let (reply, answer) = oneshot::channel();
        self.sender.handle.command(Command::Unlock { channel: self.id(), reply });
        answer.await.unwrap_or(0)
    }

    /// Waits until the channel is secured: until the other side holds the same key.
    ///
    /// # Errors
    /// What keeps it from being secured, each once and at once, and even if the channel has ended meanwhile: that the keys differ
    /// is told before the end that came of it. After all but [`ChannelError::Ended`] this can be awaited again, best after the
    /// right key has been set.
    ///
    /// Nothing is lost if the future is dropped.
    pub async fn secured(&self) -> Result<(), ChannelError> {
        self.pipe().secured().await
    }

    /// Whether the channel has been secured.
    #[must_use]
    pub fn is_secured(&self) -> bool {
        self.pipe().is_secured()
    }

    /// 128 bits that are the same at both ends of a secured channel, and at no end of a channel with somebody in the middle. Of use to
    /// two people whose key may be known to others: they compare it by voice.
    #[must_use]
    pub fn verifier(&self) -> Option<[u8; 16]> {
        self.pipe().verifier()
    }

    /// Sends a packet and returns its number, which is its receipt: give it to [`delivered`](Self::delivered). Waits, and may be given up,
    /// like [`send_bytes`](Self::send_bytes).
    ///
    /// # Errors
    /// The packet was not taken, and the error says why.
    pub async fn send<P: Packet>(&self, packet: &P) -> Result<u64, SendError> {
        self.sender.send(packet).await
    }

    /// Sends the bytes of one packet and returns its number, counting from 1. Waits while as much is queued as the channel may hold
    /// (256 KiB here, and [`queue_max_bytes`](crate::ClientLimits::queue_max_bytes) behind it).
    ///
    /// It returns when the packet is queued, not when it has arrived: that is what [`delivered`](Self::delivered) is for. If the
    /// future is dropped before it returns, the packet has not been taken.
    ///
    /// # Errors
    /// The packet was not taken, and the error says why.
    pub async fn send_bytes(&self, packet: impl Into<Bytes>) -> Result<u64, SendError> {
        self.sender.send_bytes(packet).await
    }

    /// The same for bytes that stay where they are: a copy is sent. For short packets it is the cheapest way.
    ///
    /// # Errors
    /// The packet was not taken, and the error says why.
    pub async fn send_slice(&self, packet: &[u8]) -> Result<u64, SendError> {
        self.sender.send_slice(packet).await
    }

    /// The same for bytes in two pieces, a header and what follows it, say: a copy of both is sent as one packet.
    ///
    /// # Errors
    /// The packet was not taken, and the error says why.
    pub async fn send_slices(&self, packet: [&[u8]; 2]) -> Result<u64, SendError> {
        self.sender.send_slices(packet).await
    }

    /// The next packet, which must be a `P`; nothing after the channel has been closed in good order and all has been received. Nothing is
    /// lost if the future is dropped.
    ///
    /// # Errors
    /// What came is not a `P`, or the channel is over and not in good order.
    pub async fn receive<P: Packet>(&self) -> Result<Option<P>, ReceiveError> {
        self.receiver.receive().await
    }

    /// The bytes of the next packet; nothing after the channel has been closed in good order and all has been received. Nothing is
    /// lost if the future is dropped.
    ///
    /// A packet may lie in the same memory as those that came with it, 16 KiB of it, or, if it is about as long itself, up to 256 KiB. Who
    /// keeps a few bytes for long should copy them.
    ///
    /// # Errors
    /// [`ChannelError::Ended`] if the channel is over and not in good order. What had arrived before is received first.
    pub async fn receive_bytes(&self) -> Result<Option<Bytes>, ChannelError> {
        self.receiver.receive_bytes().await
    }

    /// Waits for the next packet and puts it behind those in `into`, with those that have come after it: `limit` at most, where
    /// 0 counts as 1. Returns how many these are; 0 after the channel has been closed in good order and all has been received. Nothing is lost if the
    /// future is dropped.
    ///
    /// # Errors
    /// Like [`receive_bytes`](Self::receive_bytes).
    pub async fn receive_many(&self, into: &mut Vec<Bytes>, limit: usize) -> Result<usize, ChannelError> {
        self.receiver.receive_many(into, limit).await
    }

    /// Receives the next packet and gives it to its handler in `registry`. Returns false, and calls none, after the channel has been
    /// closed in good order and all has been received. If the future is dropped, no packet is lost, and no handler is left half done: it
    /// runs without a pause.
    ///
    /// # Errors
    /// The packet is unknown or malformed, or its handler failed; or the channel is over and not in good order.
    pub async fn receive_with<C, E>(
        &self,
        registry: &mut Registry<C, E>,
        context: &mut C,
    ) -> Result<bool, HandleError<E>> {
        self.receiver.receive_with(registry, context).await
    }

    /// Receives packets and gives each to its handler, until the channel has been closed in good order and all has been received.
    ///
    /// After an error because of a packet it may be called again and goes on with the next one. If the future is dropped, no
    /// packet is lost: each has been handled, or is still to be received.
    ///
    /// # Errors
    /// A packet is unknown or malformed, or its handler failed; or the channel is over and not in good order.
    pub async fn serve<E>(&self, handlers: &mut Handlers<E>) -> Result<(), HandleError<E>> {
        self.receiver.serve(handlers).await
    }

    /// The packets as a stream, which ends after the channel has been closed in good order, or with the first error. Dropping the stream
    /// loses nothing.
    pub fn packets(&self) -> impl Stream<Item = Result<Bytes, ChannelError>> + Send + '_ {
        self.receiver.packets()
    }

    /// What the channel comes to as a stream, like [`next_state`](Self::next_state).
    pub fn states(&self) -> impl Stream<Item = ChannelState> + Send + '_ {
        futures_util::stream::unfold(
            self,
            |channel| async move { Some((channel.next_state().await?, channel)) },
        )
    }

    /// What the channel has done so far. Nothing is lost if the future is dropped.
    pub async fn stats(&self) -> ChannelStats {
        self.sender.stats().await
    }

    /// Waits until the other side has all packets up to number `number`: authenticated, in order, once. That is, until its program can
    /// receive them; whether it has done so, only its own answer can tell. Nothing is lost if the future is dropped, and it may
    /// be awaited again.
    ///
    /// # Errors
    /// The channel is over, and it was not confirmed.
    pub async fn delivered(&self, number: u64) -> Result<(), ChannelError> {
        self.sender.delivered(number).await
    }

    /// What the channel comes to, one after the other; at last [`ChannelState::Ended`], then nothing. If nobody asks, the 64
    /// latest are kept. Nothing is lost if the future is dropped.
    pub async fn next_state(&self) -> Option<ChannelState> {
        self.pipe().next_state().await
    }

    /// Why the channel is over and what became of what was sent, if it is.
    #[must_use]
    pub fn end(&self) -> Option<(End, Fate)> {
        self.pipe().end()
    }

    /// Ends the channel in good order: all that was sent arrives first, and the other side ends its direction, too. What
    /// still comes meanwhile is thrown away: receive first what is wanted, or [`split`](Self::split). Before the channel is secured
    /// it ends at once.
    ///
    /// If the future is dropped, the channel is closed nevertheless.
    ///
    /// # Errors
    /// It ended otherwise; the fate in the error tells what has arrived.
    pub async fn close(self) -> Result<Fate, ChannelError> {
        let Self { sender, receiver } = self;
        sender.handle.pipe.finish();
        drop(receiver);
        sender.close().await
    }

    /// Two halves that can live in two tasks.
    #[must_use]
    pub fn split(self) -> (Sender, Receiver) {
        (self.sender, self.receiver)
    }

    /// The channel as a stream of bytes. Both sides must do this, and before they have sent packets; what has been sent before is
    /// taken for bytes of the stream.
    pub fn into_stream(self) -> ByteStream {
        ByteStream::new(self.sender.handle, self.receiver)
    }

    fn pipe(&self) -> &Pipe {
        &self.sender.handle.pipe
    }
}

impl Sender {
    /// See [`Channel::send`].
    ///
    /// # Errors
    /// The packet was not taken, and the error says why.
    pub async fn send<P: Packet>(&self, packet: &P) -> Result<u64, SendError> {
        let bytes = packet::encode(packet).map_err(SendError::Encode)?;
        self.send_bytes(bytes).await
    }

    /// See [`Channel::send_bytes`].
    ///
    /// # Errors
    /// The packet was not taken, and the error says why.
    pub async fn send_bytes(&self, packet: impl Into<Bytes>) -> Result<u64, SendError> {
        let packet = packet.into();
        self.handle.pipe.send(packet.len(), |packets| packets.push(packet)).await
    }

    /// See [`Channel::send_slice`].
    ///
    /// # Errors
    /// The packet was not taken, and the error says why.
    pub async fn send_slice(&self, packet: &[u8]) -> Result<u64, SendError> {
        self.handle.pipe.send(packet.len(), |packets| packets.push_slice(packet)).await
    }

    /// See [`Channel::send_slices`].
    ///
    /// # Errors
    /// The packet was not taken, and the error says why.
    pub async fn send_slices(&self, packet: [&[u8]; 2]) -> Result<u64, SendError> {
        let len = packet[0].len() + packet[1].len();
        self.handle.pipe.send(len, |packets| packets.push_slices(packet)).await
    }

    /// See [`Channel::delivered`].
    ///
    /// # Errors
    /// The channel is over, and it was not confirmed.
    pub async fn delivered(&self, number: u64) -> Result<(), ChannelError> {
        self.handle.pipe.delivered(number).await
    }

    /// See [`Channel::stats`].
    pub async fn stats(&self) -> ChannelStats {
        let (reply, answer) = oneshot::channel();
        self.handle.command(Command::ChannelStats { channel: self.handle.pipe.id, reply });
        // If the driver is gone, so is the channel.
        let (traffic, held, fate) = answer.await.unwrap_or_default();
        ChannelStats { traffic, held, ..self.handle.pipe.stats(fate) }
    }

    /// See [`Channel::close`], also for a future that is dropped; the receiver, if it is still there, goes on. It must go on receiving, for the channel is
    /// closed when it has taken everything.
    ///
    /// # Errors
    /// It ended otherwise; the fate in the error tells what has arrived.
    pub async fn close(self) -> Result<Fate, ChannelError> {
        self.handle.pipe.finish();
        match self.handle.pipe.ended().await {
            (End::Finished, fate) => Ok(fate),
            (end, fate) => Err(ChannelError::Ended { end, fate }),
        }
    }
}

impl Receiver {
    /// See [`Channel::receive`].
    ///
    /// # Errors
    /// What came is not a `P`, or the channel is over and not in good order.
    pub async fn receive<P: Packet>(&self) -> Result<Option<P>, ReceiveError> {
        match self.receive_bytes().await? {
            Some(bytes) => packet::decode(&bytes).map(Some).map_err(ReceiveError::Packet),
            None => Ok(None),
        }
    }

    /// See [`Channel::receive_bytes`].
    ///
    /// # Errors
    /// The channel is over and not in good order.
    pub async fn receive_bytes(&self) -> Result<Option<Bytes>, ChannelError> {
        self.handle.pipe.receive().await
    }

    /// See [`Channel::receive_many`].
    ///
    /// # Errors
    /// The channel is over and not in good order.
    pub async fn receive_many(&self, into: &mut Vec<Bytes>, limit: usize) -> Result<usize, ChannelError> {
        self.handle.pipe.receive_many(into, limit).await
    }

    /// See [`Channel::receive_with`].
    ///
    /// # Errors
    /// The packet is unknown or malformed, or its handler failed; or the channel is over and not in good order.
    pub async fn receive_with<C, E>(
        &self,
        registry: &mut Registry<C, E>,
        context: &mut C,
    ) -> Result<bool, HandleError<E>> {
        match self.receive_bytes().await? {
            Some(bytes) => registry.dispatch(context, &bytes).map(|()| true).map_err(HandleError::Packet),
            None => Ok(false),
        }
    }

    /// See [`Channel::serve`].
    ///
    /// # Errors
    /// A packet is unknown or malformed, or its handler failed; or the channel is over and not in good order.
    pub async fn serve<E>(&self, handlers: &mut Handlers<E>) -> Result<(), HandleError<E>> {
        while let Some(packet) = self.receive_bytes().await? {
            handlers.dispatch(&packet).map_err(HandleError::Packet)?;
        }
        Ok(())
    }

    /// See [`Channel::packets`].
    pub fn packets(&self) -> impl Stream<Item = Result<Bytes, ChannelError>> + Send + '_ {
        futures_util::stream::unfold(Some(self), |receiver| async move {
            let receiver = receiver?;
            match receiver.receive_bytes().await.transpose()? {
                Ok(packet) => Some((Ok(packet), Some(receiver))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// See [`Channel::next_state`].
    pub async fn next_state(&self) -> Option<ChannelState> {
        self.handle.pipe.next_state().await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.handle.pipe.discard();
    }
}

impl Handle {
    fn command(&self, command: Command) {
        // If the driver is gone, so is the reply that the command carries; whoever waits for it sees that.
        let _ = self.commands.send(command);
    }

    /// Ends the channel at once.
    pub(crate) fn abort(&self) {
        self.command(Command::Abort { channel: self.pipe.id });
    }

    /// From now on, dropping the last half closes the channel in good order.
    pub(crate) fn close_with_last_half(&self) {
        self.closes.store(true, Ordering::Relaxed);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        if *self.closes.get_mut() {
            self.pipe.finish();
        } else if !self.pipe.is_finishing() {
            self.abort();
        }
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Handle").field("id", &self.pipe.id).field("peer", &self.pipe.peer).finish()
    }
}
