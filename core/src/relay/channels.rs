//! Channels: two ends, for ever the same two. Forwarding between them, and their end.

use super::conn::{Blocked, OtherEnd};
use super::{Handled, Output, Relay, Timer};
use crate::id::ConnId;
use crate::time::Instant;
use crate::wire::{CloseCode, Ended, FRAME_MAX, ForwardHeader, RelayFrame};

impl Relay {
    /// The hot path: two array look-ups, five bytes written, no allocation.
    pub(super) fn forward(
        &mut self,
        now: Instant,
        from: ConnId,
        header: ForwardHeader,
        frame: &mut [u8],
    ) -> Handled {
        let Some(conn) = self.conns.get_mut(from.0) else { return Handled::Done };
        conn.heard = now;
        let Some(peer) = conn.peer() else {
            self.close(now, from, CloseCode::NotRegistered);
            return Handled::Done;
        };
        if frame.len() > FRAME_MAX {
            self.close(now, from, CloseCode::TooLarge);
            return Handled::Done;
        }
        let Some(other) = peer.channels.other_end(header.channel) else {
            // The channel may have ended while the frame was on its way; its sender has been told.
            self.stats.frames_dropped += 1;
            return Handled::Done;
        };
        self.stats.frames_forwarded += 1;
        self.stats.bytes_forwarded += frame.len() as u64;
        ForwardHeader { channel: other.channel }.rewrite(frame);
        Handled::Forward(other.conn)
    }

    /// Makes a channel between two clients; returns each one's number of it. None if they have one, or no room for it.
    pub(super) fn link(&mut self, a: ConnId, b: ConnId) -> Option<(u32, u32)> {
        let (at_a, at_b) = (&self.peer(a)?.channels, &self.peer(b)?.channels);
        if a == b || at_a.is_full() || at_b.is_full() || at_a.with(b).is_some() {
            return None;
        }
        let a_channel = self.reserve(a)?;
        let b_channel = self.reserve(b)?;
        self.peer_mut(a)?.channels.attach(a_channel, OtherEnd { conn: b, channel: b_channel });
        self.peer_mut(b)?.channels.attach(b_channel, OtherEnd { conn: a, channel: a_channel });
        self.stats.channels += 1;
        Some((a_channel, b_channel))
    }

    fn reserve(&mut self, conn: ConnId) -> Option<u32> {
        let channels = &mut self.peer_mut(conn)?.channels;
        let before = channels.places();
        let number = channels.reserve();
        let more = channels.places() - before;
        self.places += more;
        Some(number)
    }

    /// CLOSE from one end. Its sender has forgotten the channel and needs no answer, unless there was none.
    pub(super) fn close_channel(&mut self, from: ConnId, channel: u32) {
        match self.unlink(from, channel) {
            Some(other) => self.tell_closed(other, Ended::Closed),
            None => self.transmit(from, RelayFrame::Closed { channel, reason: Ended::NotConnected }),
        }
    }

    /// One end's connection is gone; `channels` are what it had.
    pub(super) fn detach_channels(&mut self, conn: ConnId, channels: &super::conn::Channels) {
        for number in channels.numbers() {
            let Some(other) = channels.other_end(number) else { continue };
            if let Some(peer) = self.peer_mut(other.conn) {
                peer.channels.detach(other.channel);
            }
            self.stats.channels -= 1;
            self.unblock(other.conn, conn);
            self.tell_closed(other, Ended::Detached);
        }
    }

    /// The embedder has stopped reading from `from`, because `by` is full.
    pub(super) fn block(&mut self, now: Instant, from: ConnId, by: ConnId) {
        self.clear_block(from);
        let partners = self.peer(from).is_some_and(|peer| peer.channels.with(by).is_some());
        let deadline = now + self.limits.stuck_timeout;
        let Some(conn) = self.conns.get_mut(from.0) else { return };
        if partners {
            conn.blocked = Some(Blocked { by, deadline });
            self.timers.insert((deadline, Timer::Stuck(from)));
        } else {
            // Their channel has just ended, and with it what would have ended the wait.
            self.out.push_back(Output::Unblock { from });
        }
    }

    /// The embedder reads from `from` again.
    pub(super) fn clear_block(&mut self, from: ConnId) -> Option<Blocked> {
        let conn = self.conns.get_mut(from.0)?;
        let blocked = conn.blocked.take()?;
        // Until now it could not be heard: its silence begins here.
        conn.heard = self.now;
        self.timers.remove(&(blocked.deadline, Timer::Stuck(from)));
        Some(blocked)
    }

    /// A receiver has held up its sender for too long: their channel ends, everything else goes on.
    pub(super) fn end_stuck(&mut self, from: ConnId) {
        let Some(blocked) = self.conns.get(from.0).and_then(|conn| conn.blocked) else { return };
        let Some(channel) = self.peer(from).and_then(|peer| peer.channels.with(blocked.by)) else { return };
        let Some(other) = self.unlink(from, channel) else { return };
        self.transmit(from, RelayFrame::Closed { channel, reason: Ended::Stuck });
        self.tell_closed(other, Ended::Stuck);
    }

    /// Forgets a channel at both ends; returns the end that is not `from`.
    fn unlink(&mut self, from: ConnId, channel: u32) -> Option<OtherEnd> {
        let other = self.peer_mut(from)?.channels.detach(channel)?;
        if let Some(peer) = self.peer_mut(other.conn) {
            peer.channels.detach(other.channel);
        }
        self.stats.channels -= 1;
        self.unblock(from, other.conn);
        self.unblock(other.conn, from);
        Some(other)
    }

    /// Tells the embedder to read from `from` again, if it waited for `by`.
    fn unblock(&mut self, from: ConnId, by: ConnId) {
        if self.conns.get(from.0).and_then(|conn| conn.blocked).is_some_and(|blocked| blocked.by == by) {
            self.clear_block(from);
            self.out.push_back(Output::Unblock { from });
        }
    }

    fn tell_closed(&mut self, end: OtherEnd, reason: Ended) {
        self.transmit_behind(end.conn, RelayFrame::Closed { channel: end.channel, reason });
    }
}
