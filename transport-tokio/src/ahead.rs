//! A stream that a handshake reads no further than its own end.
//!
//! The relay greets right behind its answer to the upgrade, and whoever reads that answer would keep what came with it. So the
//! handshake is given its bytes up to the empty line that ends an HTTP header, and what lies behind stays here.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Ends an HTTP header.
const END: &[u8] = b"\r\n\r\n";
/// What is read at once.
const READ: usize = 4096;

pub(crate) struct Ahead<S> {
    stream: S,
    /// Read, and not given away.
    input: BytesMut,
    /// How much of [`END`] the last bytes that were given away are.
    matched: usize,
}

impl<S> Ahead<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self { stream, input: BytesMut::new(), matched: 0 }
    }

    /// The stream, and what has been read of it beyond the end of the header.
    pub(crate) fn into_parts(self) -> (S, BytesMut) {
        (self.stream, self.input)
    }

    /// How many of the bytes that wait belong to the header.
    fn header_len(&mut self, max: usize) -> usize {
        let mut len = 0;
        while len < self.input.len().min(max) && self.matched < END.len() {
            let byte = self.input[len];
            self.matched =
                if byte == END[self.matched] { self.matched + 1 } else { usize::from(byte == END[0]) };
            len += 1;
        }
        len
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Ahead<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.input.is_empty() && this.matched < END.len() {
            let mut fresh = [0; READ];
            let mut fresh = ReadBuf::new(&mut fresh);
            ready!(Pin::new(&mut this.stream).poll_read(cx, &mut fresh))?;
            this.input.extend_from_slice(fresh.filled());
        }
        // Behind the end of the header there is nothing for the handshake.
        let len = this.header_len(buf.remaining());
        buf.put_slice(&this.input[..len]);
        this.input.advance(len);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Ahead<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "in a test that is a failure")]

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn the_header_ends_where_it_ends() {
        for piece in 1..40 {
            let (mut server, client) = tokio::io::duplex(1000);
            let header = b"HTTP/1.1 101 \r\r\n a\r\nb: \n\r\n\n\r\n\r\n";
            let bytes = [&header[..], b"\r\n\r\nHELLO"].concat();
            let write = tokio::spawn(async move {
                for piece in bytes.chunks(piece) {
                    server.write_all(piece).await.unwrap();
                    tokio::task::yield_now().await;
                }
            });
            let mut ahead = Ahead::new(client);
            let mut read = vec![0; header.len()];
            ahead.read_exact(&mut read).await.unwrap();
            assert_eq!(read, header);
            assert_eq!(ahead.read(&mut [0; 100]).await.unwrap(), 0, "nothing more");
            write.await.unwrap();
            let (mut client, mut rest) = ahead.into_parts();
            while client.read_buf(&mut rest).await.unwrap() > 0 {}
            assert_eq!(rest, b"\r\n\r\nHELLO"[..]);
        }
    }
}
