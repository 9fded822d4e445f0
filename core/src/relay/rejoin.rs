//! REJOIN: two ends of a channel that was cut find each other again (`PROTOCOL.md`, "Rejoining").
//!
//! The relay keeps nothing of a channel that is cut. Both ends present the same 128-bit value, which they alone know, and opposite
//! roles; the first waits, the second completes the pair. A newer presenter of a role replaces an older one that waits, so that
//! a client never meets its own dead connection.

use super::{Relay, Timer};
use crate::id::ConnId;
use crate::time::Instant;
use crate::wire::RelayFrame;

pub(super) struct Waiting {
    pub(super) conn: ConnId,
    role: u8,
    pub(super) deadline: Instant,
}

impl Relay {
    pub(super) fn rejoin(&mut self, now: Instant, from: ConnId, rendezvous: [u8; 16], role: u8) {
        match self.waiting.get(&rendezvous) {
            Some(other) if other.role != role && other.conn != from => {
                let other = other.conn;
                // Without room for a channel the other waits on, and a repeated REJOIN may find room.
                if let Some((channel, other_channel)) = self.link(from, other) {
                    self.forget_rejoin(&rendezvous);
                    self.transmit(from, RelayFrame::Attached { rendezvous, channel });
                    self.transmit(other, RelayFrame::Attached { rendezvous, channel: other_channel });
                }
            }
            _ => {
                self.forget_rejoin(&rendezvous);
                self.make_room_to_wait(from);
                let deadline = now + self.limits.rejoin_lifetime;
                self.waiting.insert(rendezvous, Waiting { conn: from, role, deadline });
                self.timers.insert((deadline, Timer::Rejoin(rendezvous)));
                if let Some(peer) = self.peer_mut(from) {
                    peer.rejoining.push(rendezvous);
                }
            }
        }
    }

    /// A client waits at as many values as it may have channels. It cannot take a REJOIN back when it gives a channel up, so
    /// the oldest one yields.
    fn make_room_to_wait(&mut self, conn: ConnId) {
        let Some(peer) = self.peer(conn) else { return };
        let full = peer.rejoining.len() >= usize::from(peer.channels.max());
        if let Some(&oldest) = peer.rejoining.first().filter(|_| full) {
            self.forget_rejoin(&oldest);
        }
    }

    /// Removes whoever waits at this value.
    pub(super) fn forget_rejoin(&mut self, rendezvous: &[u8; 16]) {
        if let Some(waiting) = self.waiting.remove(rendezvous) {
            self.timers.remove(&(waiting.deadline, Timer::Rejoin(*rendezvous)));
            if let Some(peer) = self.peer_mut(waiting.conn) {
                peer.rejoining.retain(|value| value != rendezvous);
                peer.rejoining.shrink_to(2 * peer.rejoining.len());
            }
        }
    }
}
