//! A channel as a stream of bytes, each direction with an end of its own.
//!
//! The rule: an end of file is only ever what the other side has said. Bytes travel as packets of 1 to 65,536 bytes, without an ID or
//! any other frame, and a packet without bytes is the end of its direction. Whoever goes without having said so is an error for the
//! reader at the other end, never an end of file.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use phantom_core::client::{End, PACKET_WHOLE_MAX, Packets};
use phantom_core::id::{ChannelId, PeerId};
use tokio::io::{AsyncBufRead, AsyncRead, AsyncWrite, ReadBuf};

use crate::channel::{Handle, Receiver};
use crate::wait::Wait;
use crate::{ChannelError, SendError};

/// The most bytes of one packet that is written: what needs not be cut and put together again.
const PACKET_MAX: usize = PACKET_WHOLE_MAX;

/// A channel as a stream of bytes in either direction: [`Channel::into_stream`](crate::Channel::into_stream) makes it, at both ends.
///
/// # Ends
///
/// * [`shutdown`](tokio::io::AsyncWriteExt::shutdown) ends this direction: the other side reads everything and then an end of file,
///   while the other direction goes on. It returns when the other side's program has all of it to read: nothing is lost if
///   the stream is dropped then. If the other side has ended its direction and gone meanwhile, that is no error, provided that it has
///   everything that was written. If the future is dropped before, the direction is ended or not; call it again.
/// * Dropping a stream after `shutdown` leaves the channel in good order. Dropping it before ends the channel at once: the reader at
///   the other end gets an error. An end of file is never made up.
/// * [`into_split`](Self::into_split) makes two halves for two tasks.
///
/// # Errors
///
/// Both directions fail with an [`io::Error`] whose source is a [`ChannelError`] or a [`SendError`]. Its kind is
///
/// | kind | when |
/// | --- | --- |
/// | `TimedOut` | the other side did not come back in time after a cut |
/// | `ConnectionReset` | the other side ended the channel at once |
/// | `UnexpectedEof` | the other side closed the channel without having ended its direction (reading) |
/// | `BrokenPipe` | this direction is ended, or the channel is being closed (writing) |
/// | `NotConnected` | this client has left, or this side ended the channel |
/// | `InvalidData` | anything that only a fault or an attack can cause |
///
/// A cut of the network is no error: the stream waits and goes on where it was.
///
/// # Pressure and cost
///
/// A write waits while 256 KiB wait here and the windows behind are full, that is, until the other side reads. It never waits for
/// more than room: nothing is held back, what has been written is on its way. So `flush` has nothing to do and returns at once; to
/// know that everything has arrived, there is `shutdown`. Bytes are copied once into the packet at a write, and once out of it
/// at a read, or not at all if they are read as [`AsyncBufRead`]. Each write makes a packet; many small ones share a record.
///
/// Reading and writing are safe to cancel: no byte is taken from or given to a call that has not returned.
///
/// Before the channel is secured, reading and writing wait. Wait for [`Channel::secured`](crate::Channel::secured) first, which tells
/// if the keys differ.
#[derive(Debug)]
#[must_use = "dropping a stream ends its channel"]
pub struct ByteStream {
    // In this order they are dropped: what has been read says how to end.
    writer: ByteWriter,
    reader: ByteReader,
}

/// The reading half of a [`ByteStream`]. When it is dropped, what comes is thrown away.
#[derive(Debug)]
pub struct ByteReader {
    receiver: Receiver,
    wait: Wait,
    /// The rest of the packet that is being read.
    rest: Bytes,
    ended: bool,
}

/// The writing half of a [`ByteStream`]. If it is dropped before [`shutdown`](tokio::io::AsyncWriteExt::shutdown), the channel ends at
/// once, in both directions.
#[derive(Debug)]
pub struct ByteWriter {
    handle: Arc<Handle>,
    wait: Wait,
    /// The number of the packet that ends the direction.
    end: Option<u64>,
}

impl ByteStream {
    pub(crate) fn new(handle: Arc<Handle>, receiver: Receiver) -> Self {
        Self {
            writer: ByteWriter { handle, wait: Wait::default(), end: None },
            reader: ByteReader { receiver, wait: Wait::default(), rest: Bytes::new(), ended: false },
        }
    }

    /// The channel's number.
    #[must_use]
    pub fn id(&self) -> ChannelId {
        self.writer.handle.pipe.id
    }

    /// Who is at the other end.
    #[must_use]
    pub fn opponent(&self) -> PeerId {
        self.writer.handle.pipe.peer
    }

    /// Two halves that can live in two tasks, with no lock between them.
    #[must_use]
    pub fn into_split(self) -> (ByteReader, ByteWriter) {
        (self.reader, self.writer)
    }
}

impl AsyncRead for ByteReader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() > 0 {
            let here = ready!(self.as_mut().poll_fill_buf(cx))?;
            let len = here.len().min(buf.remaining());
            buf.put_slice(&here[..len]);
            self.consume(len);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncBufRead for ByteReader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        if this.rest.is_empty() && !this.ended {
            let pipe = &this.receiver.handle.pipe;
            match ready!(this.wait.poll(cx, &pipe.readable, || pipe.try_receive())) {
                Ok(Some(packet)) if packet.is_empty() => {
                    this.ended = true;
                    pipe.on_stream_end();
                }
                Ok(Some(packet)) => this.rest = packet,
                Ok(None) => return Poll::Ready(Err(unfinished())),
                Err(error) => return Poll::Ready(Err(error.into())),
            }
        }
        Poll::Ready(Ok(&this.rest))
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        let rest = &mut self.get_mut().rest;
        rest.advance(amount.min(rest.len()));
    }
}

impl AsyncWrite for ByteWriter {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.end.is_some() {
            return Poll::Ready(Err(SendError::Closing.into()));
        }
        let part = &buf[..buf.len().min(PACKET_MAX)];
        if part.is_empty() {
            // A packet without bytes would be the end.
            return Poll::Ready(Ok(0));
        }
        ready!(this.poll_send(cx, part))?;
        Poll::Ready(Ok(part.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let number = match this.end {
            Some(number) => number,
            None => match ready!(this.poll_send(cx, &[])) {
                Ok(number) => number,
                Err(error) => return this.poll_left(cx, error),
            },
        };
        this.end = Some(number);
        let pipe = &this.handle.pipe;
        let delivered = ready!(this.wait.poll(cx, &pipe.changed, || pipe.try_delivered(number)));
        Poll::Ready(delivered.map_err(Into::into))
    }
}

impl ByteWriter {
    /// The other side is going and takes no more. That is as good as an end if it goes in good order and has all that was written.
    fn poll_left(&mut self, cx: &mut Context<'_>, error: SendError) -> Poll<io::Result<()>> {
        let pipe = &self.handle.pipe;
        let (end, fate) = ready!(self.wait.poll(cx, &pipe.changed, || pipe.end()));
        if end == End::Finished && fate.unsent + fate.uncertain == 0 {
            self.end = Some(0);
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(Err(error.into()))
    }

    /// Sends one packet. Nobody else sends over this channel.
    fn poll_send(&mut self, cx: &mut Context<'_>, part: &[u8]) -> Poll<Result<u64, SendError>> {
        let pipe = &self.handle.pipe;
        let mut put = Some(|packets: &mut Packets| packets.push_slice(part));
        self.wait.poll(cx, &pipe.room, || pipe.try_send(part.len(), &mut put))
    }
}

impl Drop for ByteWriter {
    fn drop(&mut self) {
        // With the last half the channel is left in good order: if this direction has been ended, or if the other has, whose writer
        // waits to hear that all of it has arrived.
        if self.end.is_some() || self.handle.pipe.is_stream_ended() {
            self.handle.close_with_last_half();
        } else {
            self.handle.abort();
        }
    }
}

impl AsyncRead for ByteStream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().reader).poll_read(cx, buf)
    }
}

impl AsyncBufRead for ByteStream {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().reader).poll_fill_buf(cx)
    }

    fn consume(self: Pin<&mut Self>, amount: usize) {
        Pin::new(&mut self.get_mut().reader).consume(amount);
    }
}

impl AsyncWrite for ByteStream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().writer).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().writer).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().writer).poll_shutdown(cx)
    }
}

fn unfinished() -> io::Error {
    io::Error::new(
        io::ErrorKind::UnexpectedEof,
        "the other side closed the channel without having ended its stream; what came may be incomplete",
    )
}

fn kind(end: End) -> io::ErrorKind {
    match end {
        End::Finished => io::ErrorKind::BrokenPipe,
        End::Truncated | End::NeverSecured => io::ErrorKind::TimedOut,
        End::Aborted { .. } | End::Left(_) => io::ErrorKind::ConnectionReset,
        End::Disconnected => io::ErrorKind::NotConnected,
        _ => io::ErrorKind::InvalidData,
    }
}

/// With the kind that [`ByteStream`] tells of.
impl From<ChannelError> for io::Error {
    fn from(error: ChannelError) -> Self {
        let kind = match error {
            ChannelError::Ended { end, .. } => kind(end),
            _ => io::ErrorKind::NotConnected,
        };
        Self::new(kind, error)
    }
}

/// With the kind that [`ByteStream`] tells of.
impl From<SendError> for io::Error {
    fn from(error: SendError) -> Self {
        let kind = match error {
            SendError::Ended { end, .. } => kind(end),
            SendError::Closing => io::ErrorKind::BrokenPipe,
            SendError::TooLarge { .. } | SendError::Encode(_) => io::ErrorKind::InvalidInput,
        };
        Self::new(kind, error)
    }
}
