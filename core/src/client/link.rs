//! The link to the relay: dial, be greeted, join, stay alive, dial again.
//!
//! | state | waits for | on success | when its time is over, or the transport fails |
//! | --- | --- | --- | --- |
//! | `Waiting` | its moment | | dial: `Dialing` |
//! | `Dialing` | the transport | `Greeting` | `Waiting` |
//! | `Greeting` | HELLO | REGISTER or RECLAIM: `Joining` | hang up: `Waiting` |
//! | `Joining` | WELCOME | `Online` | hang up: `Waiting` |
//! | `Online` | any frame, else PONG | `Online` | hang up: `Waiting` |
//! | `Stopped` | the user | | |
//!
//! The pause before a dial is twice the last, from `redial_min` to `redial_max`, with jitter; an `Online` link starts it anew.
//!
//! With several relays, a link that was `Online` is dialled again at the same relay first: the other ends of the channels are there.
//! Each dial that fails, and a relay that has announced its end, leads on to the next of the list.

use alloc::collections::BTreeMap;

use zeroize::Zeroizing;

use super::ClientLimits;
use super::limits::DRAIN_MAX;
use crate::id::PeerId;
use crate::relay::reclaim_mac;
use crate::rng::Rng;
use crate::time::{Duration, Instant};
use crate::wire::{ClientFrame, CloseCode, VERSION, Welcome};

pub(super) struct Link {
    state: LinkState,
    /// Dials since the link was last online.
    attempts: u32,
    /// Which relay of the list is dialled.
    relay: usize,
    relays: usize,
    /// What proves the ID at each relay of the list. Never shown to another one.
    tokens: BTreeMap<usize, Token>,
    /// The ID of the last time online.
    id: Option<PeerId>,
    /// Before then a relay that restarts is not there.
    back_at: Option<Instant>,
    /// Since when an answer is awaited whose time is to be measured.
    measured_since: Option<Instant>,
    /// The time of the latest answer of the relay that the link is online at.
    round_trip: Option<Duration>,
}

struct Token {
    id: PeerId,
    owner: [u8; 8],
    kid: u8,
    expiry: u64,
    key: Zeroizing<[u8; 32]>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum LinkState {
    Stopped,
    Waiting { until: Instant },
    Dialing { until: Instant },
    Greeting { until: Instant },
    Joining { until: Instant },
    Online(Online),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Online {
    pub(super) id: PeerId,
    /// Channels at once that the relay grants.
    pub(super) channels_max: u8,
    pub(super) request_lifetime: Duration,
    /// When to ping, if nothing is sent before.
    ping_at: Instant,
    ping_interval: Duration,
    /// When a frame last came.
    heard: Instant,
    /// Set while a PONG is awaited: the link is dead if nothing is heard by then.
    dead_at: Option<Instant>,
}

/// What the link wants done when its time has come.
pub(super) enum Due {
    Dial(usize),
    HangUp(CloseCode),
    Ping,
}

impl Link {
    pub(super) fn new(relays: usize) -> Self {
        Self {
            state: LinkState::Waiting { until: Instant::ZERO },
            attempts: 0,
            relay: 0,
            relays: relays.max(1),
            tokens: BTreeMap::new(),
            id: None,
            back_at: None,
            measured_since: None,
            round_trip: None,
        }
    }

    pub(super) fn state(&self) -> &LinkState {
        &self.state
    }

    pub(super) fn online(&self) -> Option<&Online> {
        match &self.state {
            LinkState::Online(online) => Some(online),
            _ => None,
        }
    }

    /// Whether the transport is thought to stand.
    pub(super) fn is_connected(&self) -> bool {
        matches!(self.state, LinkState::Greeting { .. } | LinkState::Joining { .. } | LinkState::Online(_))
    }

    /// The transport stands. False if it was not dialled.
    pub(super) fn connected(&mut self, now: Instant, limits: &ClientLimits) -> bool {
        let dialled = matches!(self.state, LinkState::Dialing { .. });
        if dialled {
            self.state = LinkState::Greeting { until: now + limits.join_timeout };
        }
        dialled
    }

    /// HELLO has come: what to answer, or the code to hang up with.
    pub(super) fn hello(
        &mut self,
        now: Instant,
        version: u8,
        challenge: &[u8; 16],
        work: u8,
        limits: &ClientLimits,
    ) -> Result<ClientFrame, CloseCode> {
        let LinkState::Greeting { .. } = self.state else { return Err(CloseCode::Violation) };
        if version < VERSION || work != 0 {
            return Err(CloseCode::VersionUnsupported);
        }
        self.state = LinkState::Joining { until: now + limits.join_timeout };
        self.measured_since = Some(now);
        let channels = limits.channels_max;
        Ok(match self.tokens.get(&self.relay) {
            None => ClientFrame::Register { version: VERSION, channels },
            Some(token) => ClientFrame::Reclaim {
                version: VERSION,
                channels,
                kid: token.kid,
                id: token.id,
                owner: token.owner,
                expiry: token.expiry,
                mac: reclaim_mac(&token.key, challenge),
            },
        })
    }

    /// WELCOME has come. Returns whether that brings the link online, and if so whether the ID is the one it had.
    pub(super) fn welcome(
        &mut self,
        now: Instant,
        welcome: &Welcome,
        limits: &ClientLimits,
    ) -> Result<Option<bool>, CloseCode> {
        let Welcome { id, owner, kid, expiry, token_key, channels, idle_s, request_s, .. } = *welcome;
        let renewed = match self.state {
            LinkState::Joining { .. } => false,
            LinkState::Online(online) if online.id == id => true,
            _ => return Err(CloseCode::Violation),
        };
        self.tokens.insert(self.relay, Token { id, owner, kid, expiry, key: Zeroizing::new(token_key) });
        if renewed {
            return Ok(None);
        }
        let idle = Duration::from_secs(u64::from(idle_s.max(2)));
        let ping_interval = limits.ping_interval.min(idle / 2);
        self.state = LinkState::Online(Online {
            id,
            channels_max: channels.min(limits.channels_max),
            request_lifetime: Duration::from_secs(u64::from(request_s)),
            ping_at: now + ping_interval,
            ping_interval,
            heard: now,
            dead_at: None,
        });
        self.attempts = 0;
        self.answered(now);
        let kept = self.id == Some(id);
        self.id = Some(id);
        Ok(Some(kept))
    }

    /// Any frame has come.
    pub(super) fn heard(&mut self, now: Instant) {
        if let LinkState::Online(online) = &mut self.state {
            online.heard = now;
            online.dead_at = None;
        }
    }

    /// What the relay answers at once has come: WELCOME or PONG.
    pub(super) fn answered(&mut self, now: Instant) {
        if let Some(since) = self.measured_since.take() {
            self.round_trip = Some(now.since(since));
        }
    }

    /// How long the relay took for its latest answer; nothing while it is not reached.
    pub(super) fn round_trip(&self) -> Option<Duration> {
        self.round_trip.filter(|_| self.online().is_some())
    }

    /// The transport is gone, or could not be had. Returns when it will be dialled again.
    pub(super) fn lost(
        &mut self,
        now: Instant,
        code: Option<CloseCode>,
        limits: &ClientLimits,
        rng: &mut Rng,
    ) -> Option<Instant> {
        (self.measured_since, self.round_trip) = (None, None);
        if code.is_some_and(|code| !code.may_redial()) || self.state == LinkState::Stopped {
            self.state = LinkState::Stopped;
            return None;
        }
        let back_at = self.back_at.take();
        let from = back_at.filter(|_| self.relays == 1).map_or(now, |back| back.max(now));
        let until = from + pause(self.attempts, limits.redial_min, limits.redial_max, rng);
        self.attempts = self.attempts.saturating_add(1);
        if back_at.is_some() || self.online().is_none() {
            self.relay = (self.relay + 1) % self.relays;
        }
        self.state = LinkState::Waiting { until };
        Some(until)
    }

    /// The relay has said when it will be back: it is not dialled earlier.
    pub(super) fn drain(&mut self, now: Instant, after: Duration) {
        self.back_at = Some(now + after.min(DRAIN_MAX));
    }

    /// Dial without waiting longer: the network has changed, or the user wants it.
    pub(super) fn dial_now(&mut self, now: Instant) {
        if matches!(self.state, LinkState::Waiting { .. } | LinkState::Stopped) {
            self.attempts = 0;
            self.state = LinkState::Waiting { until: now };
        }
    }

    /// For ever, or until `dial_now`.
    pub(super) fn stop(&mut self) {
        self.state = LinkState::Stopped;
    }

    pub(super) fn on_timeout(&mut self, now: Instant, limits: &ClientLimits) -> Option<Due> {
        match &mut self.state {
            LinkState::Waiting { until } if *until <= now => {
                self.state = LinkState::Dialing { until: now + limits.dial_timeout };
                Some(Due::Dial(self.relay))
            }
            LinkState::Dialing { until } | LinkState::Greeting { until } | LinkState::Joining { until }
                if *until <= now =>
            {
                Some(Due::HangUp(CloseCode::Idle))
            }
            LinkState::Online(online) => {
                if online.dead_at.is_some_and(|at| at <= now) {
                    return Some(Due::HangUp(CloseCode::Idle));
                }
                if online.ping_at > now {
                    return None;
                }
                // Every interval, whatever was sent: then the relay hears of us, and we of it, within two.
                online.ping_at = now + online.ping_interval;
                online.dead_at.get_or_insert(now + online.ping_interval);
                self.measured_since.get_or_insert(now);
                Some(Due::Ping)
            }
            _ => None,
        }
    }

    pub(super) fn deadline(&self) -> Option<(Instant, &'static str)> {
        match &self.state {
            LinkState::Stopped => None,
            LinkState::Waiting { until } => Some((*until, "the relay is dialled")),
            LinkState::Dialing { until } => Some((*until, "the transport must stand")),
            LinkState::Greeting { until } => Some((*until, "the relay must greet")),
            LinkState::Joining { until } => Some((*until, "the relay must give an ID")),
            LinkState::Online(Online { ping_at, dead_at, .. }) => {
                Some((dead_at.map_or(*ping_at, |at| at.min(*ping_at)), "the relay must be heard"))
            }
        }
    }
}

/// A pause that doubles with each attempt, between three quarters and all of it at random, so that many clients of one relay
/// do not come back at the same moment.
pub(super) fn pause(attempts: u32, min: Duration, max: Duration, rng: &mut Rng) -> Duration {
    let full = min.saturating_mul(1 << attempts.min(16)).min(max);
    let [jitter] = rng.bytes();
    full - full / 4 * u32::from(jitter) / 255
}

#[cfg(test)]
mod tests;
