//! Every frame but FORWARD: its number, its fields, its bytes.

use core::fmt;
use core::ops::Deref;

use super::{Answer, CONTROL_MAX, DecodeError, Ended, Reader, Writer};
use crate::id::PeerId;

/// The bytes of one control frame, held in place.
#[derive(Clone, Copy)]
pub struct ControlFrame {
    bytes: [u8; CONTROL_MAX],
    len: u8,
}

impl Deref for ControlFrame {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

impl From<Writer<CONTROL_MAX>> for ControlFrame {
    fn from(writer: Writer<CONTROL_MAX>) -> Self {
        let (bytes, len) = writer.finish();
        Self { bytes, len: u8::try_from(len).expect("CONTROL_MAX is below 256") }
    }
}

/// Prints the kind and the length only: a WELCOME holds a secret.
impl fmt::Debug for ControlFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ControlFrame({:#04x}, {} bytes)", self.bytes[0], self.len)
    }
}

const REGISTER: u8 = 0x01;
const RECLAIM: u8 = 0x02;
const CONNECT: u8 = 0x03;
const ACCEPT: u8 = 0x04;
const CANCEL: u8 = 0x05;
const WITHDRAW: u8 = 0x06;
const CLOSE: u8 = 0x07;
const REJOIN: u8 = 0x08;
const PING: u8 = 0x09;

const HELLO: u8 = 0x81;
const WELCOME: u8 = 0x82;
const ANSWER: u8 = 0x83;
const INCOMING: u8 = 0x84;
const ENDED: u8 = 0x85;
const OPENED: u8 = 0x86;
const CLOSED: u8 = 0x87;
const ATTACHED: u8 = 0x88;
const PONG: u8 = 0x89;
const DRAIN: u8 = 0x8a;

/// A frame from a client to its relay (`PROTOCOL.md`, "Frames from client to relay").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ClientFrame {
    /// Asks for an ID.
    Register {
        /// The newest version the client speaks, not above the relay's.
        version: u8,
        /// Channels at once, at least 1, at most [`CHANNELS_MAX`](super::CHANNELS_MAX).
        channels: u8,
    },
    /// Asks for an ID held before, proving it with the token of that ID.
    Reclaim {
        /// As in `Register`.
        version: u8,
        /// As in `Register`.
        channels: u8,
        /// Which of the relay's secrets the token was made with.
        kid: u8,
        /// The ID.
        id: PeerId,
        /// Who the ID was drawn for, as WELCOME said.
        owner: [u8; 8],
        /// When the token ends, in seconds of Unix time.
        expiry: u64,
        /// Keyed with the token, over the challenge of HELLO.
        mac: [u8; 16],
    },
    /// Asks the client `target` for a channel.
    Connect {
        /// The client's own number for this request, above all it has used on this connection.
        request: u32,
        /// Who is asked.
        target: PeerId,
        /// Fresh, for the key agreement.
        nonce: [u8; 16],
    },
    /// Accepts the request that INCOMING showed under this number.
    Accept {
        /// The number of the INCOMING.
        request: u32,
        /// Fresh, for the key agreement.
        nonce: [u8; 16],
    },
    /// Declines the request that INCOMING showed under this number.
    Cancel {
        /// The number of the INCOMING.
        request: u32,
    },
    /// Takes an own request back.
    Withdraw {
        /// The number of the CONNECT.
        request: u32,
    },
    /// Ends a channel.
    Close {
        /// The client's number of the channel.
        channel: u32,
    },
    /// Waits for the other end of a channel that was cut.
    Rejoin {
        /// The value both ends derived from their session.
        rendezvous: [u8; 16],
        /// 0 connector, 1 acceptor.
        role: u8,
    },
    /// Asks for a PONG with the same number.
    Ping {
        /// Any number.
        token: u32,
    },
}

impl ClientFrame {
    /// Decodes a whole frame.
    ///
    /// # Errors
    /// Whatever is not exactly one frame of this direction.
    pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        let (&kind, fields) = frame.split_first().ok_or(DecodeError::Empty)?;
        let mut r = Reader::new(fields);
        let decode = |r: &mut Reader<'_>| {
            let frame = match kind {
                REGISTER => Self::Register { version: r.u8()?, channels: r.u8()? },
                RECLAIM => Self::Reclaim {
                    version: r.u8()?,
                    channels: r.u8()?,
                    kid: r.u8()?,
                    id: PeerId::from_bytes(r.array()?)?,
                    owner: r.array()?,
                    expiry: r.u64()?,
                    mac: r.array()?,
                },
                CONNECT => Self::Connect {
                    request: r.u32()?,
                    target: PeerId::from_bytes(r.array()?)?,
                    nonce: r.array()?,
                },
                ACCEPT => Self::Accept { request: r.u32()?, nonce: r.array()? },
                CANCEL => Self::Cancel { request: r.u32()? },
                WITHDRAW => Self::Withdraw { request: r.u32()? },
                CLOSE => Self::Close { channel: r.u32()? },
                REJOIN => Self::Rejoin { rendezvous: r.array()?, role: r.u8().filter(|&role| role <= 1)? },
                PING => Self::Ping { token: r.u32()? },
                _ => return None,
            };
            r.end()?;
            Some(frame)
        };
        decode(&mut r).ok_or(match kind {
            REGISTER..=PING => DecodeError::Malformed(kind),
            _ => DecodeError::UnknownKind(kind),
        })
    }

    /// The bytes of this frame.
    #[must_use]
    pub fn encode(&self) -> ControlFrame {
        let w = Writer::<CONTROL_MAX>::new();
        match *self {
            Self::Register { version, channels } => w.u8(REGISTER).u8(version).u8(channels),
            Self::Reclaim { version, channels, kid, id, owner, expiry, mac } => w
                .u8(RECLAIM)
                .u8(version)
                .u8(channels)
                .u8(kid)
                .put(id.as_bytes())
                .put(&owner)
                .u64(expiry)
                .put(&mac),
            Self::Connect { request, target, nonce } => {
                w.u8(CONNECT).u32(request).put(target.as_bytes()).put(&nonce)
            }
            Self::Accept { request, nonce } => w.u8(ACCEPT).u32(request).put(&nonce),
            Self::Cancel { request } => w.u8(CANCEL).u32(request),
            Self::Withdraw { request } => w.u8(WITHDRAW).u32(request),
            Self::Close { channel } => w.u8(CLOSE).u32(channel),
            Self::Rejoin { rendezvous, role } => w.u8(REJOIN).put(&rendezvous).u8(role),
            Self::Ping { token } => w.u8(PING).u32(token),
        }
        .into()
    }
}

/// How a channel came about, seen from the side that is told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum OpenedBy {
    /// The other side accepted; the number is that of the own CONNECT. This side is the connector.
    Approval = 0,
    /// This side accepted; the number is that of the INCOMING. This side is the acceptor.
    Acceptance = 1,
    /// Both asked; the number is that of the own CONNECT. The side with the smaller ID is the connector.
    Crossing = 2,
}

/// The fields of WELCOME. Its token is a secret: whoever has it can take over the ID.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Welcome {
    /// The client's ID from now on.
    pub id: PeerId,
    /// Whether this is the ID that a RECLAIM asked for.
    pub reclaimed: bool,
    /// Drawn with the ID and kept with it: tells its holder from one who was given the same ID by chance.
    pub owner: [u8; 8],
    /// Which of the relay's secrets the token was made with.
    pub kid: u8,
    /// When the token ends, in seconds of Unix time.
    pub expiry: u64,
    /// The token.
    pub token_key: [u8; 32],
    /// Channels at once that the relay grants, at most those asked for.
    pub channels: u8,
    /// Seconds without a frame after which the relay closes the connection.
    pub idle_s: u16,
    /// Seconds after which a request expires.
    pub request_s: u16,
}

/// Leaves the token out.
impl fmt::Debug for Welcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Welcome").field("id", &self.id).field("expiry", &self.expiry).finish_non_exhaustive()
    }
}

/// A frame from a relay to its client (`PROTOCOL.md`, "Frames from relay to client").
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RelayFrame {
    /// The first frame on every connection.
    Hello {
        /// The newest version the relay speaks.
        version: u8,
        /// Fresh, for RECLAIM.
        challenge: [u8; 16],
        /// Reserved for a proof of work; 0 in this version.
        work: u8,
    },
    /// Answers REGISTER and RECLAIM, and renews the token on a long connection.
    Welcome(Welcome),
    /// What became of an own request.
    Answer {
        /// The number of the CONNECT.
        request: u32,
        /// The answer.
        answer: Answer,
    },
    /// Somebody asks to connect.
    Incoming {
        /// The relay's number for this request on this connection.
        request: u32,
        /// Who asks.
        source: PeerId,
        /// The nonce of the CONNECT.
        nonce: [u8; 16],
    },
    /// A request shown by INCOMING is over.
    Ended {
        /// The number of the INCOMING.
        request: u32,
        /// Why.
        answer: Answer,
    },
    /// A channel is there.
    Opened {
        /// How it came about.
        by: OpenedBy,
        /// The number of the request it came from.
        request: u32,
        /// This side's number of the channel.
        channel: u32,
        /// The other side's nonce.
        nonce: [u8; 16],
    },
    /// A channel is gone.
    Closed {
        /// This side's number of the channel.
        channel: u32,
        /// Why.
        reason: Ended,
    },
    /// Answers REJOIN when both ends are there.
    Attached {
        /// The value of the REJOIN.
        rendezvous: [u8; 16],
        /// This side's new number of the channel.
        channel: u32,
    },
    /// Answers PING.
    Pong {
        /// The number of the PING.
        token: u32,
    },
    /// The relay is about to stop.
    Drain {
        /// When to come back, in milliseconds from now.
        after_ms: u32,
    },
}

impl RelayFrame {
    /// Decodes a whole frame.
    ///
    /// # Errors
    /// Whatever is not exactly one frame of this direction.
    pub fn decode(frame: &[u8]) -> Result<Self, DecodeError> {
        let (&kind, fields) = frame.split_first().ok_or(DecodeError::Empty)?;
        let mut r = Reader::new(fields);
        let decode = |r: &mut Reader<'_>| {
            let frame = match kind {
                HELLO => Self::Hello { version: r.u8()?, challenge: r.array()?, work: r.u8()? },
                WELCOME => Self::Welcome(Welcome {
                    id: PeerId::from_bytes(r.array()?)?,
                    reclaimed: match r.u8()? {
                        0 => false,
                        1 => true,
                        _ => return None,
                    },
                    owner: r.array()?,
                    kid: r.u8()?,
                    expiry: r.u64()?,
                    token_key: r.array()?,
                    channels: r.u8()?,
                    idle_s: r.u16()?,
                    request_s: r.u16()?,
                }),
                ANSWER => Self::Answer { request: r.u32()?, answer: Answer::from_wire(r.u8()?)? },
                INCOMING => Self::Incoming {
                    request: r.u32()?,
                    source: PeerId::from_bytes(r.array()?)?,
                    nonce: r.array()?,
                },
                ENDED => Self::Ended { request: r.u32()?, answer: Answer::from_wire(r.u8()?)? },
                OPENED => Self::Opened {
                    by: match r.u8()? {
                        0 => OpenedBy::Approval,
                        1 => OpenedBy::Acceptance,
                        2 => OpenedBy::Crossing,
                        _ => return None,
                    },
                    request: r.u32()?,
                    channel: r.u32()?,
                    nonce: r.array()?,
                },
                CLOSED => Self::Closed { channel: r.u32()?, reason: Ended::from_wire(r.u8()?)? },
                ATTACHED => Self::Attached { rendezvous: r.array()?, channel: r.u32()? },
                PONG => Self::Pong { token: r.u32()? },
                DRAIN => Self::Drain { after_ms: r.u32()? },
                _ => return None,
            };
            r.end()?;
            Some(frame)
        };
        decode(&mut r).ok_or(match kind {
            HELLO..=DRAIN => DecodeError::Malformed(kind),
            _ => DecodeError::UnknownKind(kind),
        })
    }

    /// The bytes of this frame.
    #[must_use]
    pub fn encode(&self) -> ControlFrame {
        let w = Writer::<CONTROL_MAX>::new();
        match *self {
            Self::Hello { version, challenge, work } => w.u8(HELLO).u8(version).put(&challenge).u8(work),
            Self::Welcome(Welcome {
                id,
                reclaimed,
                owner,
                kid,
                expiry,
                token_key,
                channels,
                idle_s,
                request_s,
            }) => w
                .u8(WELCOME)
                .put(id.as_bytes())
                .u8(u8::from(reclaimed))
                .put(&owner)
                .u8(kid)
                .u64(expiry)
                .put(&token_key)
                .u8(channels)
                .u16(idle_s)
                .u16(request_s),
            Self::Answer { request, answer } => w.u8(ANSWER).u32(request).u8(answer.to_wire()),
            Self::Incoming { request, source, nonce } => {
                w.u8(INCOMING).u32(request).put(source.as_bytes()).put(&nonce)
            }
            Self::Ended { request, answer } => w.u8(ENDED).u32(request).u8(answer.to_wire()),
            Self::Opened { by, request, channel, nonce } => {
                w.u8(OPENED).u8(by as u8).u32(request).u32(channel).put(&nonce)
            }
            Self::Closed { channel, reason } => w.u8(CLOSED).u32(channel).u8(reason.to_wire()),
            Self::Attached { rendezvous, channel } => w.u8(ATTACHED).put(&rendezvous).u32(channel),
            Self::Pong { token } => w.u8(PONG).u32(token),
            Self::Drain { after_ms } => w.u8(DRAIN).u32(after_ms),
        }
        .into()
    }
}
