//! One WebSocket as the machine sees it: whole frames in and out, and why it closed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use futures_util::{Sink, SinkExt, Stream as _, StreamExt};
use phantom_core::time::Duration;
use phantom_core::wire::{CloseCode, FRAME_MAX};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode as WebSocketCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message};

/// Bytes that are given to the socket before it must have passed them on to the system.
pub(crate) const ROOM: usize = 256 << 10;
/// Bytes that tungstenite gathers before it writes of itself, and reads at once.
const BUFFER: usize = 128 << 10;
/// Frames that are no data may go beyond [`ROOM`]; from here on nothing is read that might call for more of them.
const BACKLOG_MAX: usize = ROOM + (1 << 20);
/// How long the relay may take to answer a goodbye.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(2);

pub(crate) struct Socket {
    websocket: WebSocketStream<Transport>,
    /// Bytes given to the socket since it was last empty.
    fed: usize,
    /// Writing has failed. What has been received is still read: the relay may have said why.
    mute: bool,
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
    pub(crate) fn new(websocket: WebSocketStream<Transport>) -> Self {
        Self { websocket, fed: 0, mute: false }
    }

    /// Limits for tungstenite: no message longer than a frame, and buffers that hold a few.
    pub(crate) fn config() -> WebSocketConfig {
        WebSocketConfig::default()
            .read_buffer_size(BUFFER)
            .write_buffer_size(BUFFER)
            .max_message_size(Some(FRAME_MAX))
            .max_frame_size(Some(FRAME_MAX))
    }

    /// The next thing that comes.
    pub(crate) fn poll_incoming(&mut self, cx: &mut Context<'_>) -> Poll<Incoming> {
        if self.fed > BACKLOG_MAX && !self.mute {
            // `poll_flush` has left its waker.
            return Poll::Pending;
        }
        loop {
            let message = ready!(Pin::new(&mut self.websocket).poll_next(cx));
            return Poll::Ready(match message {
                Some(Ok(Message::Binary(frame))) => Incoming::Frame(owned(frame)),
                Some(Ok(Message::Text(_))) => Incoming::Invalid(CloseCode::NotBinary),
                Some(Ok(Message::Close(frame))) => {
                    Incoming::Closed { code: frame.and_then(|frame| CloseCode::from_wire(frame.code.into())) }
                }
                Some(Ok(_)) => continue,
                Some(Err(tungstenite::Error::Capacity(_))) => Incoming::Invalid(CloseCode::TooLarge),
                Some(Err(_)) | None => Incoming::Closed { code: None },
            });
        }
    }

    /// How many more bytes of data the socket takes now.
    pub(crate) fn room(&self) -> usize {
        if self.mute { 0 } else { ROOM.saturating_sub(self.fed) }
    }

    /// Gives a frame to the socket; it leaves with the next flush at the latest.
    pub(crate) fn feed(&mut self, frame: Bytes) {
        if self.mute {
            return;
        }
        self.fed += frame.len();
        // Not preceded by `poll_ready`: `room` does its work, and tungstenite keeps what the system does not take.
        self.mute = Pin::new(&mut self.websocket).start_send(Message::Binary(frame)).is_err();
    }

    /// Passes on to the system what has been fed. Returns whether there was anything and it is all gone.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> bool {
        if self.fed == 0 || self.mute {
            return false;
        }
        match Pin::new(&mut self.websocket).poll_flush(cx) {
            Poll::Pending => false,
            Poll::Ready(Ok(())) => {
                self.fed = 0;
                true
            }
            Poll::Ready(Err(_)) => {
                self.mute = true;
                false
            }
        }
    }

    /// Says goodbye with this code and waits a moment for the answer.
    pub(crate) async fn close(mut self, code: CloseCode) {
        let goodbye = CloseFrame { code: WebSocketCode::from(code.to_wire()), reason: "".into() };
        let farewell = async {
            if self.websocket.send(Message::Close(Some(goodbye))).await.is_ok() {
                while let Some(Ok(_)) = self.websocket.next().await {}
            }
        };
        // A relay that does not answer is left without.
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, farewell).await;
    }
}

/// The frame as a buffer of its own: the same memory if nobody else holds it, which tungstenite's read buffer mostly does.
fn owned(frame: Bytes) -> BytesMut {
    frame.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&*shared))
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
