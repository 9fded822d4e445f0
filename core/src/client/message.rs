//! What two clients say to each other inside FORWARD frames (`PROTOCOL.md`, "Between clients").
//!
//! ```text
//! SHARE   0x01 | run u16 | share 32 | ad 24
//! CONFIRM 0x02 | run u16 | check 16 | tag 32
//! DATA    0x10 | seq u64 | ciphertext | tag 16
//! CTRL    0x11 | seq u64 | ciphertext | tag 16
//! ```

use bytes::Bytes;

use crate::wire::{ForwardHeader, Reader, Writer};

const SHARE: u8 = 0x01;
const CONFIRM: u8 = 0x02;
const DATA: u8 = 0x10;
const CTRL: u8 = 0x11;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Share {
    pub(super) run: u16,
    pub(super) share: [u8; 32],
    pub(super) ad: [u8; 24],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Confirm {
    pub(super) run: u16,
    pub(super) check: [u8; 16],
    pub(super) tag: [u8; 32],
}

/// What a payload is, by its first byte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Message {
    Share(Share),
    Confirm(Confirm),
    /// A record of the DATA kind; its bytes are still in the payload.
    Data,
    /// A record of the CTRL kind.
    Ctrl,
}

impl Message {
    /// What `payload` is; nothing if it is unknown or malformed. Nothing vouches for it yet.
    pub(super) fn decode(payload: &[u8]) -> Option<Self> {
        let (&kind, fields) = payload.split_first()?;
        let mut r = Reader::new(fields);
        let message = match kind {
            DATA => return Some(Self::Data),
            CTRL => return Some(Self::Ctrl),
            SHARE => Self::Share(Share { run: r.u16()?, share: r.array()?, ad: r.array()? }),
            CONFIRM => Self::Confirm(Confirm { run: r.u16()?, check: r.array()?, tag: r.array()? }),
            _ => return None,
        };
        r.end()?;
        Some(message)
    }
}

impl Share {
    /// A whole FORWARD frame for this channel.
    pub(super) fn frame(&self, channel: u32) -> Bytes {
        let header = ForwardHeader { channel }.to_bytes();
        let w = Writer::<64>::new().put(&header).u8(SHARE).u16(self.run).put(&self.share).put(&self.ad);
        let (bytes, len) = w.finish();
        Bytes::copy_from_slice(&bytes[..len])
    }
}

impl Confirm {
    /// A whole FORWARD frame for this channel.
    pub(super) fn frame(&self, channel: u32) -> Bytes {
        let header = ForwardHeader { channel }.to_bytes();
        let w = Writer::<64>::new().put(&header).u8(CONFIRM).u16(self.run).put(&self.check).put(&self.tag);
        let (bytes, len) = w.finish();
        Bytes::copy_from_slice(&bytes[..len])
    }
}

/// The first plaintext byte of a DATA record: what its body is. Bit 7 is reserved for padding.
pub(super) mod item {
    /// A part of a packet; more of it follows.
    pub(in super::super) const PART: u8 = 1;
    /// The last or only part of a packet.
    pub(in super::super) const END: u8 = 2;
    /// Nothing follows in this direction.
    pub(in super::super) const FIN: u8 = 3;
    /// The next record is sealed with the next generation's key.
    pub(in super::super) const KEY_UPDATE: u8 = 4;
    /// Several whole packets, each behind its length.
    pub(in super::super) const MANY: u8 = 5;
}

/// The first plaintext byte of a CTRL record.
pub(super) mod control {
    /// Where a side stands.
    pub(in super::super) const STATE: u8 = 1;
    /// The channel ends at once.
    pub(in super::super) const ABORT: u8 = 2;
}

/// Where a side stands: acknowledgement, window, and how far it has sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct State {
    /// The sequence number of the next DATA record it will open.
    pub(super) recv_next: u64,
    /// The sequence number of the next DATA record it will seal.
    pub(super) send_next: u64,
    /// Bytes it takes from `recv_next` on.
    pub(super) window: u32,
    /// It wants a STATE in return.
    pub(super) ask: bool,
    /// It wants everything from `recv_next` on again.
    pub(super) retransmit: bool,
}

impl State {
    /// Bytes of an encoded STATE, its first byte included.
    pub(super) const LEN: usize = 22;

    pub(super) fn encode(&self) -> [u8; Self::LEN] {
        let flags = u8::from(self.ask) | u8::from(self.retransmit) << 1;
        let w = Writer::<{ Self::LEN }>::new()
            .u8(control::STATE)
            .u64(self.recv_next)
            .u64(self.send_next)
            .u32(self.window)
            .u8(flags);
        w.finish().0
    }

    /// Decodes the fields behind the first byte. Unknown flags are refused.
    pub(super) fn decode(fields: &[u8]) -> Option<Self> {
        let mut r = Reader::new(fields);
        let (recv_next, send_next, window, flags) = (r.u64()?, r.u64()?, r.u32()?, r.u8()?);
        r.end()?;
        (flags <= 3).then_some(Self {
            recv_next,
            send_next,
            window,
            ask: flags & 1 != 0,
            retransmit: flags & 2 != 0,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_and_wrong_lengths_do_not() {
        let share = Share { run: 0x0102, share: [3; 32], ad: [4; 24] };
        let frame = share.frame(9);
        assert_eq!(ForwardHeader::peek(&frame), Some(ForwardHeader { channel: 9 }));
        assert_eq!(Message::decode(&frame[5..]), Some(Message::Share(share)));
        let confirm = Confirm { run: 7, check: [5; 16], tag: [6; 32] };
        let frame = confirm.frame(9);
        assert_eq!(Message::decode(&frame[5..]), Some(Message::Confirm(confirm)));
        for len in 0..frame.len() - 5 {
            assert_eq!(Message::decode(&frame[5..5 + len]), None);
        }
        assert_eq!(Message::decode(&[0x12, 0]), None);
    }

    #[test]
    fn a_state_survives_and_unknown_flags_do_not() {
        let state = State { recv_next: 1, send_next: u64::MAX, window: 77, ask: false, retransmit: true };
        let bytes = state.encode();
        assert_eq!((bytes[0], State::decode(&bytes[1..])), (control::STATE, Some(state)));
        let mut flagged = bytes;
        flagged[21] = 4;
        assert_eq!(State::decode(&flagged[1..]), None);
        assert_eq!(State::decode(&bytes[1..21]), None);
    }
}
