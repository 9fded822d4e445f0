//! TLS on one socket, so that nobody who reads or writes it has to know.
//!
//! The rules:
//!
//! * A read that does not fill its buffer has emptied both the socket and rustls: the poll announces only what comes later. But no read
//!   takes more from the socket than a plain one could, whatever comes of it: then it says that there [is more](TlsSocket::has_more).
//! * A write takes no more than one [`BUFFER`] before all of it has left. So whoever fills faster than the peer takes is told
//!   `WouldBlock`, as by a plain socket.
//! * What rustls has to say by itself - its part of the handshake, alerts, tickets, new keys - leaves with the next write, or by
//!   [`flush`](std::io::Write::flush) if there is none.
//! * Before TLS there may be a header of the PROXY protocol: until TLS is [begun](TlsSocket::begin), the socket is a plain one.
//! * Who does not speak TLS is told so once, in HTTP if that is what it spoke, and whatever else it sends is thrown away.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::Shutdown;
use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection};

use crate::handshake::{self, HandshakeFailure};
use crate::socket::Socket;

/// Bytes that may be encrypted and not yet sent, and one record's frame more.
const BUFFER: usize = 16 * 1024;
/// Encrypted bytes read at once.
const PORTION: usize = 16 * 1024;

/// What an idle session holds: its keys and state, and the buffer of 4 KiB that rustls reads into. Measured, and rounded up.
const IDLE: usize = 8 * 1024;
/// What that buffer grows to for one record.
const GROWN: usize = 32 * 1024;

/// A socket that speaks TLS.
#[derive(Debug)]
pub(crate) struct TlsSocket {
    /// What carries the records; no TLS itself.
    carrier: Socket,
    session: ServerConnection,
    /// Bytes read in all, and where in a record that is.
    read: usize,
    records: Records,
    /// The buffer that rustls reads into is larger than when idle.
    grown: bool,
    /// TLS has not begun.
    dormant: bool,
    /// What was read from the carrier before TLS began.
    early: Vec<u8>,
    end: Option<End>,
    /// What is left to be sent of an answer that is not encrypted.
    plain: Vec<u8>,
    shut: Shut,
    /// The last read stopped early.
    more: bool,
}

/// Why nothing more can be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum End {
    /// The peer has said that it is done, or has just vanished. The difference matters to nobody here: every message has its own length,
    /// and a WebSocket its own close frame.
    Done,
    /// What came is no TLS.
    Failed(HandshakeFailure),
    /// That has been said, and whatever comes is thrown away.
    Refused,
}

/// How far the closing of this side is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shut {
    No,
    /// As soon as what waits has left.
    Wanted,
    Done,
}

impl TlsSocket {
    /// TLS over this carrier.
    pub(crate) fn new(carrier: Socket, config: Arc<ServerConfig>) -> Result<Self, rustls::Error> {
        let mut session = ServerConnection::new(config)?;
        session.set_buffer_limit(Some(BUFFER));
        Ok(Self {
            carrier,
            session,
            read: 0,
            records: Records::default(),
            grown: false,
            dormant: false,
            early: Vec::new(),
            end: None,
            plain: Vec::new(),
            shut: Shut::No,
            more: false,
        })
    }

    /// TLS begins later.
    pub(crate) fn hold_back(&mut self) {
        self.dormant = true;
    }

    /// TLS begins now, with these bytes, which have been read already.
    pub(crate) fn begin(&mut self, early: &[u8]) {
        self.dormant = false;
        self.early = early.to_vec();
    }

    /// What carries the records.
    pub(crate) fn carrier(&mut self) -> &mut Socket {
        &mut self.carrier
    }

    /// Whether reading gives an end, now or after what is left.
    pub(crate) fn has_ended(&self) -> bool {
        self.end.is_some()
    }

    /// Whether the last read stopped before it had filled its buffer or found the carrier empty.
    pub(crate) fn has_more(&self) -> bool {
        self.more
    }

    /// Whether something waits to be written that was not given to [`write`](Write::write) just now.
    pub(crate) fn wants_flush(&self) -> bool {
        self.session.wants_write() || !self.plain.is_empty() || self.shut == Shut::Wanted
    }

    /// Bytes of memory that are held for it, at most.
    pub(crate) fn memory(&self) -> usize {
        let unsent = if self.session.wants_write() { BUFFER } else { 0 };
        // In the handshake, one message may be gathered from many records.
        let unread = match self.grown {
            true if self.session.is_handshaking() => GROWN + 2 * self.read,
            true => GROWN,
            false => 0,
        };
        size_of::<Self>() + IDLE + unsent + unread + self.early.capacity() + self.plain.capacity()
    }

    /// If the peer does not speak TLS: how it failed. From then on what it sends is thrown away, so that it can still hear why.
    pub(crate) fn refuse(&mut self) -> Option<HandshakeFailure> {
        let Some(End::Failed(failure)) = self.end else { return None };
        self.end = Some(End::Refused);
        Some(failure)
    }

    /// Tells the peer that nothing more comes, once what waits has left.
    pub(crate) fn shutdown(&mut self) -> io::Result<()> {
        if self.shut == Shut::No {
            self.shut = Shut::Wanted;
            if !self.dormant && !matches!(self.end, Some(End::Failed(_) | End::Refused)) {
                self.session.send_close_notify();
            }
        }
        self.flush()
    }

    /// Reads once from the carrier, no more than there is room in `buf`, and than is `left` of this read's share; says how much of `buf`
    /// came of it, and whether the carrier is empty.
    fn fetch(&mut self, buf: &mut [u8], left: &mut usize) -> io::Result<(usize, bool)> {
        let mut portion = [0; PORTION];
        let portion = &mut portion[..buf.len().min(PORTION).min(*left)];
        let read = if self.early.is_empty() {
            self.carrier.read(portion)?
        } else {
            let read = self.early.len().min(portion.len());
            portion[..read].copy_from_slice(&self.early[..read]);
            self.early.drain(..read);
            if self.early.is_empty() {
                self.early = Vec::new();
            }
            read
        };
        let emptied = read < portion.len() && self.early.is_empty();
        *left -= read;
        let mut filled = 0;
        match portion[..read].first() {
            None => self.end = Some(End::Done),
            Some(first) if self.read == 0 && first.is_ascii_uppercase() => {
                self.plain = handshake::plain_on_tls();
                self.end = Some(End::Failed(HandshakeFailure::PlainOnTls));
            }
            Some(_) => filled = self.decrypt(&portion[..read], buf),
        }
        // What cannot be sent because the peer is gone is nobody's loss: that it is gone shows by reading.
        let _gone = self.begin_to_send();
        Ok((filled, emptied))
    }

    /// Decrypts into `buf` as much as there is room for. rustls keeps the rest, which is no more than it can keep: `records` is no longer
    /// than `buf`, so the rest is less than the one record that may have been incomplete before.
    fn decrypt(&mut self, mut records: &[u8], buf: &mut [u8]) -> usize {
        let mut filled = 0;
        while !records.is_empty() && self.end.is_none() {
            self.grown |= self.records.is_within();
            let before = records;
            let fed = self.session.read_tls(&mut records);
            self.records.advance(&before[..before.len() - records.len()]);
            self.read += before.len() - records.len();
            self.end = match (fed, self.session.process_new_packets()) {
                (Ok(1..), Ok(state)) if !state.peer_has_closed() => None,
                (Ok(_), Ok(_)) => Some(End::Done),
                (Err(_), _) | (_, Err(_)) => Some(End::Failed(HandshakeFailure::TlsFailed)),
            };
            filled += self.take(&mut buf[filled..]);
        }
        if self.grown && !self.records.is_within() {
            // rustls gives back what its buffer has grown by when it is about to read, whether anything comes or not.
            let _nothing = self.session.read_tls(&mut Nothing);
            self.grown = false;
        }
        filled
    }

    /// What is decrypted and was not taken yet.
    fn take(&mut self, buf: &mut [u8]) -> usize {
        // rustls says by an error that it has nothing, or nothing more. The end is known from elsewhere.
        self.session.reader().read(buf).unwrap_or(0)
    }

    /// Sends what waits: `Ok` if nothing does any more.
    fn send(&mut self) -> io::Result<()> {
        while !self.plain.is_empty() {
            let sent = self.carrier.write(&self.plain)?;
            self.plain.drain(..sent);
        }
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.carrier) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    }

    /// Sends as much of it as goes now.
    fn begin_to_send(&mut self) -> io::Result<()> {
        match self.send() {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            result => result,
        }
    }
}

impl Read for TlsSocket {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.dormant || self.end == Some(End::Refused) {
            return self.carrier.read(buf);
        }
        let mut filled = self.take(buf);
        // Records that hold little or nothing must not make one read longer than another.
        let mut left = buf.len().max(PORTION);
        self.more = false;
        while filled < buf.len() && self.end.is_none() {
            if left == 0 {
                self.more = true;
                return if filled == 0 { Err(ErrorKind::WouldBlock.into()) } else { Ok(filled) };
            }
            match self.fetch(&mut buf[filled..], &mut left) {
                Ok((more, emptied)) => {
                    filled += more;
                    // Without anything to give, the end itself must be looked for: it may have been announced with what has just come.
                    if emptied && filled > 0 {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock && filled == 0 => return Err(error),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.end = Some(End::Done),
            }
        }
        Ok(filled)
    }
}

impl Write for TlsSocket {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, bufs: &[IoSlice<'_>]) -> io::Result<usize> {
        self.send()?;
        match self.session.writer().write_vectored(bufs)? {
            // The handshake is under way, and has to come first.
            0 => Err(ErrorKind::WouldBlock.into()),
            taken => self.begin_to_send().map(|()| taken),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.send()?;
        if self.shut == Shut::Wanted {
            self.shut = Shut::Done;
            self.carrier.shutdown(Shutdown::Write)?;
        }
        Ok(())
    }
}

/// Where in a record the bytes end that have been read: a header of five bytes, of which the last two are the length of what follows.
#[derive(Default, Debug)]
struct Records {
    header: [u8; Self::HEADER],
    /// Bytes of the record so far.
    seen: usize,
}

impl Records {
    const HEADER: usize = 5;

    fn advance(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let in_header = self.seen < Self::HEADER;
            let missing = if in_header { Self::HEADER - self.seen } else { self.len() - self.seen };
            let (now, later) = bytes.split_at(missing.min(bytes.len()));
            if in_header {
                self.header[self.seen..][..now.len()].copy_from_slice(now);
            }
            self.seen += now.len();
            if self.seen >= Self::HEADER && self.seen == self.len() {
                self.seen = 0;
            }
            bytes = later;
        }
    }

    const fn len(&self) -> usize {
        let [_, _, _, high, low] = self.header;
        Self::HEADER + u16::from_be_bytes([high, low]) as usize
    }

    /// A record has begun and is not complete.
    const fn is_within(&self) -> bool {
        self.seen > 0
    }
}

/// A socket on which nothing has come.
struct Nothing;

impl Read for Nothing {
    fn read(&mut self, _buf: &mut [u8]) -> io::Result<usize> {
        Err(ErrorKind::WouldBlock.into())
    }
}

#[cfg(test)]
mod tests;
