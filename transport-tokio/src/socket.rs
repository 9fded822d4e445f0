//! One WebSocket as the machine sees it: whole frames in and out, and why it closed.

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use phantom_core::time::Duration;
use phantom_core::websocket::opcode;
use phantom_core::wire::{CloseCode, FRAME_MAX};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;

use crate::read_buffer::ReadBuffer;
use crate::websocket::{self, Decoder, put_frame};

/// Bytes that wait here before the system must have taken some.
pub(crate) const ROOM: usize = 256 << 10;
/// Frames that are no data may go beyond [`ROOM`]; from here on nothing is read that might call for more of them.
const BACKLOG_MAX: usize = ROOM + (1 << 20);
/// How long the relay may take to answer a goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct Socket {
    transport: Transport,
    decoder: Decoder,
    input: ReadBuffer,
    /// To be written.
    output: BytesMut,
    masks: Masks,
    /// Writing has failed. What has been received is still read: the relay may have said why.
    mute: bool,
    /// The code of the relay's goodbye, which is to be answered with the same.
    closed: Option<CloseCode>,
}

/// What came over a socket.
#[derive(Debug)]
pub(crate) enum Incoming {
    Frame(BytesMut),
    /// Something that is no frame.
    Invalid(CloseCode),
    Closed {
        code: Option<CloseCode>,
    },
}

impl Socket {
    /// A socket after its handshake, with what has come behind that.
    pub(crate) fn new(transport: Transport, input: BytesMut) -> Self {
        Self {
            transport,
            decoder: Decoder::new(FRAME_MAX),
            input: ReadBuffer::new(input),
            output: BytesMut::new(),
            masks: Masks::default(),
            mute: false,
            closed: None,
        }
    }

    /// The next thing that comes.
    pub(crate) fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        if self.output.len() > BACKLOG_MAX && !self.mute {
            // `poll_flush` has left its waker.
            return Poll::Pending;
        }
        loop {
            while let Some(incoming) = self.decoder.next(&mut self.input.bytes) {
                return Poll::Ready(match incoming {
                    websocket::Incoming::Message(frame) => Incoming::Frame(frame),
                    websocket::Incoming::Ping(payload) => {
                        self.put(opcode::PONG, &payload);
                        continue;
                    }
                    websocket::Incoming::Close(code) => {
                        self.closed = code.and_then(CloseCode::from_wire);
                        Incoming::Closed { code: self.closed }
                    }
                    websocket::Incoming::Text => Incoming::Invalid(CloseCode::NotBinary),
                    websocket::Incoming::TooLarge => Incoming::Invalid(CloseCode::TooLarge),
                    websocket::Incoming::Broken => Incoming::Closed { code: None },
                });
            }
            if !matches!(ready!(self.poll_fill(cx)), Ok(1..)) {
                return Poll::Ready(Incoming::Closed { code: None });
            }
        }
    }

    /// Reads once.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let room = self.input.make_room(self.decoder.missing(&self.input.bytes));
        let read = ready!(pin!(self.transport.read_buf(&mut self.input.bytes)).poll(cx))?;
        self.input.on_read(read, room);
        Poll::Ready(Ok(read))
    }

    /// How many more bytes of data the socket takes now.
    pub(crate) fn room(&self) -> usize {
        if self.mute { 0 } else { ROOM.saturating_sub(self.output.len()) }
    }

    /// Gives a frame to the socket; it leaves with the next flush at the latest.
    pub(crate) fn feed(&mut self, frame: &Bytes) {
        self.put(opcode::BINARY, frame);
    }

    fn put(&mut self, opcode: u8, payload: &[u8]) {
        if self.mute {
            return;
        }
        match self.masks.next() {
            Ok(mask) => put_frame(&mut self.output, opcode, payload, mask),
            Err(_) => self.mute = true,
        }
    }

    /// Passes on to the system what has been fed. Returns whether there was anything and it is all gone.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> bool {
        if self.output.is_empty() || self.mute {
            return false;
        }
        while !self.output.is_empty() {
            match Pin::new(&mut self.transport).poll_write(cx, &self.output) {
                Poll::Pending => return false,
                Poll::Ready(Ok(written @ 1..)) => self.output.advance(written),
                Poll::Ready(_) => {
                    self.mute = true;
                    return false;
                }
            }
        }
        match Pin::new(&mut self.transport).poll_flush(cx) {
            Poll::Pending => false,
            Poll::Ready(result) => {
                self.mute = result.is_err();
                !self.mute
            }
        }
    }

    /// Says goodbye with this code, or answers the relay's, and waits a moment for the end.
    pub(crate) async fn close(mut self, code: CloseCode) {
        let code = self.closed.unwrap_or(code);
        self.put(opcode::CLOSE, &code.to_wire().to_be_bytes());
        let farewell = async {
            if self.mute || self.transport.write_all(&self.output).await.is_err() {
                return;
            }
            // What still comes is for nobody; the relay ends the connection when it has the last frame.
            let _ = self.transport.flush().await;
            while let Ok(1..) = self.transport.read_buf(&mut self.input.bytes).await {
                self.input.bytes.clear();
            }
        };
        // A relay that does not answer is left without.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
    }
}

/// Masks for frames, which must be unpredictable (RFC 6455, section 10.3); drawn from the system many at a time.
#[derive(Default)]
struct Masks {
    drawn: Bytes,
}

impl Masks {
    fn next(&mut self) -> Result<[u8; 4], getrandom::Error> {
        if self.drawn.len() < 4 {
            let mut fresh = vec![0; 256];
            getrandom::fill(&mut fresh)?;
            self.drawn = fresh.into();
        }
        Ok(self.drawn.get_u32().to_be_bytes())
    }
}

/// What is below the WebSocket.
pub(crate) enum Transport {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

macro_rules! either {
    ($self:expr, $method:ident($($arg:expr),*)) => {
        match $self.get_mut() {
            Transport::Plain(stream) => Pin::new(stream).$method($($arg),*),
            Transport::Tls(stream) => Pin::new(&mut **stream).$method($($arg),*),
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_read(cx, buf))
    }
}

impl AsyncWrite for Transport {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        either!(self, poll_write(cx, buf))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_shutdown(cx))
    }
}
