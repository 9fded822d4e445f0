//! What must hold, judged by what the machines say and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use phantom_core::client::{Client, End, Event};
use phantom_core::crypto::Role;
use phantom_core::id::{ChannelId, ConnId, PeerId, RequestId};
use phantom_core::relay::Handled;
use phantom_core::time::Instant;
use phantom_core::wire::{Answer, ClientFrame, ForwardHeader, OpenedBy, RelayFrame};

use super::{Bounds, Broken, Move};

macro_rules! hold {
    ($what:expr, $($said:tt)*) => {
        if !$what {
            return Err(Broken(format!($($said)*)));
        }
    };
}

/// What has been seen of requests and channels.
///
/// * A channel is opened by the relay for two who wanted it: one asked and the other accepted, or both asked.
/// * A forwarded frame goes to the other end of its channel, under that end's number, and none is dropped while the channel stands.
/// * Each request gets one answer that ends it, and none after that, from the relay as from the client: that a client gives a
///   request up by itself must not hide a relay that forgot it.
/// * Two clients have at most one channel, a client at most as many as it may have.
/// * The two ends of a secured channel have opposite roles and the same verifier.
/// * A rendezvous value is presented by two clients only, in opposite roles: those between whom the channel was opened.
/// * What arrives in a channel is what the other end of the same channel sent, in order, once.
/// * A channel does not end for a fault, as nobody commits one.
pub(super) struct Court {
    ids: BTreeMap<PeerId, usize>,
    holders: BTreeMap<ConnId, usize>,
    /// Who has asked whom, and who has accepted whose request, ever.
    asked: BTreeMap<(usize, usize), u8>,
    accepted: BTreeSet<(usize, usize)>,
    /// Channels as the relay has them: each end, and the other one.
    links: BTreeMap<(ConnId, u32), (ConnId, u32)>,
    /// Requests as the relay has them, by the number of the CONNECT or (false) of the INCOMING, and whether each is over.
    waiting: BTreeMap<(ConnId, bool, u32), bool>,
    /// Whose request a prompt shows.
    shown: BTreeMap<(ConnId, u32), usize>,
    /// Which channel an end belongs to, also when it is gone.
    named: BTreeMap<(ConnId, u32), usize>,
    /// The two clients of each channel that was ever opened.
    channels: Vec<[usize; 2]>,
    rendezvous: BTreeMap<[u8; 16], BTreeMap<u8, usize>>,
    seats: Vec<Seen>,
    /// The channel whose OPENED a client is about to hear.
    opening: Option<usize>,
    ends: u8,
    resumed: usize,
}

/// What one client has told its application.
#[derive(Default)]
struct Seen {
    requests: BTreeMap<RequestId, Request>,
    lines: BTreeMap<ChannelId, Line>,
}

struct Request {
    peer: usize,
    own: bool,
    /// The user has decided it, or taken it back.
    decided: bool,
    over: bool,
}

/// One end of a channel.
struct Line {
    /// Which channel it is an end of.
    channel: usize,
    peer: usize,
    role: Role,
    sent: u8,
    got: u8,
    cut: bool,
    secured: bool,
    end: Option<End>,
}

/// What has become of the channels.
#[derive(Clone, Copy)]
pub struct Ended {
    /// Channels that were opened.
    pub opened: usize,
    /// Ends that were found again after a cut.
    pub resumed: usize,
}

impl Court {
    pub(super) fn new(clients: usize) -> Self {
        Self {
            ids: BTreeMap::new(),
            holders: BTreeMap::new(),
            asked: BTreeMap::new(),
            accepted: BTreeSet::new(),
            links: BTreeMap::new(),
            waiting: BTreeMap::new(),
            shown: BTreeMap::new(),
            named: BTreeMap::new(),
            channels: Vec::new(),
            rendezvous: BTreeMap::new(),
            seats: std::iter::repeat_with(Seen::default).take(clients).collect(),
            opening: None,
            ends: 0,
            resumed: 0,
        }
    }

    /// What was done so far is not counted against the bounds.
    pub(super) fn forget_what_was_done(&mut self) {
        self.asked.clear();
        self.accepted.clear();
    }

    // The relay.

    pub(super) fn connected(&mut self, conn: ConnId, seat: usize) {
        self.holders.insert(conn, seat);
    }

    pub(super) fn disconnected(&mut self, conn: ConnId) {
        self.links.retain(|end, other| end.0 != conn && other.0 != conn);
        self.waiting.retain(|(of, ..), _| *of != conn);
    }

    pub(super) fn restarted(&mut self) {
        self.links.clear();
        self.waiting.clear();
        self.shown.clear();
        self.named.clear();
        self.holders.clear();
    }

    fn unlink(&mut self, end: (ConnId, u32)) {
        if let Some(other) = self.links.remove(&end) {
            self.links.remove(&other);
        }
    }

    /// A frame has been handled by the relay.
    pub(super) fn at_relay(
        &mut self,
        from: ConnId,
        frame: &[u8],
        handled: Handled,
        after: &[u8],
    ) -> Result<(), Broken> {
        if let Some(header) = ForwardHeader::peek(frame) {
            let known = self.links.get(&(from, header.channel)).copied();
            let went = match handled {
                Handled::Forward(to) => ForwardHeader::peek(after).map(|header| (to, header.channel)),
                Handled::Done => None,
            };
            hold!(went == known, "a frame of {from:?} on {} went to {went:?}, not {known:?}", header.channel);
            let at = |frame: &[u8]| frame.get(phantom_core::wire::FORWARD_HEADER..).map(<[u8]>::to_vec);
            hold!(at(frame) == at(after), "the relay has changed a payload");
            return Ok(());
        }
        match ClientFrame::decode(frame) {
            Ok(ClientFrame::Close { channel }) => self.unlink((from, channel)),
            Ok(ClientFrame::Connect { request, .. }) => {
                self.waiting.insert((from, true, request), false);
            }
            // A user who declines needs no answer.
            Ok(ClientFrame::Cancel { request }) => {
                self.waiting.insert((from, false, request), true);
            }
            _ => {}
        }
        Ok(())
    }

    /// All that the relay has said at once.
    pub(super) fn said(&mut self, frames: &[(ConnId, RelayFrame)]) -> Result<(), Broken> {
        let mut opened = Vec::new();
        let mut attached = Vec::new();
        for &(to, frame) in frames {
            match frame {
                RelayFrame::Closed { channel, .. } => self.unlink((to, channel)),
                RelayFrame::Opened { by, request, channel, .. } => {
                    self.answered(to, by != OpenedBy::Acceptance, request, true)?;
                    opened.push((to, by, channel));
                }
                RelayFrame::Incoming { request, source, .. } => {
                    let source = self.ids.get(&source).copied();
                    let source = source.ok_or_else(|| Broken("nobody asks".into()))?;
                    self.shown.insert((to, request), source);
                    hold!(self.waiting.insert((to, false, request), false).is_none(), "a prompt shown twice");
                }
                // What was asked of a request that is over, by one who could not know.
                RelayFrame::Answer { request, answer: Answer::NotConnected }
                    if self.waiting.get(&(to, true, request)) == Some(&true) => {}
                RelayFrame::Ended { request, answer: Answer::NotConnected }
                    if self.waiting.get(&(to, false, request)) == Some(&true) => {}
                RelayFrame::Answer { request, answer } => {
                    self.answered(to, true, request, !answer.is_interim())?;
                }
                RelayFrame::Ended { request, .. } => self.answered(to, false, request, true)?,
                RelayFrame::Attached { rendezvous, channel } => attached.push((to, rendezvous, channel)),
                RelayFrame::Welcome(welcome) => {
                    let seat = self.holders.get(&to).copied();
                    let held = seat.and_then(|seat| self.ids.insert(welcome.id, seat));
                    hold!(held.is_none_or(|held| Some(held) == seat), "{} is given to two", welcome.id);
                }
                _ => {}
            }
        }
        match *opened {
            [] => {}
            [(a, by_a, at_a), (b, by_b, at_b)] => self.open([(a, by_a, at_a), (b, by_b, at_b)])?,
            _ => return Err(Broken(format!("a channel of other than two ends: {opened:?}"))),
        }
        match *attached {
            [] => {}
            [(a, value_a, at_a), (b, value_b, at_b)] => {
                hold!(value_a == value_b && a != b, "attached, and not the same");
                let ends = [self.holder(a)?, self.holder(b)?];
                let presented: Vec<_> =
                    self.rendezvous.get(&value_a).into_iter().flat_map(BTreeMap::values).copied().collect();
                hold!(
                    presented == ends || presented == [ends[1], ends[0]],
                    "{ends:?} are attached, {presented:?} looked for each other"
                );
                self.link([(a, at_a), (b, at_b)])?;
            }
            _ => return Err(Broken(format!("attached other than two ends: {attached:?}"))),
        }
        Ok(())
    }

    /// The relay has said what became of a request.
    fn answered(&mut self, conn: ConnId, own: bool, number: u32, last: bool) -> Result<(), Broken> {
        let over = self.waiting.get_mut(&(conn, own, number));
        let over =
            over.ok_or_else(|| Broken(format!("the relay answers request {number}, which nobody made")))?;
        hold!(!*over, "the relay answers request {number}, which is over");
        *over = last;
        Ok(())
    }

    fn holder(&self, conn: ConnId) -> Result<usize, Broken> {
        self.holders.get(&conn).copied().ok_or_else(|| Broken(format!("{conn:?} is nobody's")))
    }

    fn open(&mut self, ends: [(ConnId, OpenedBy, u32); 2]) -> Result<(), Broken> {
        let seats = [self.holder(ends[0].0)?, self.holder(ends[1].0)?];
        let asked = |from: usize| self.asked.contains_key(&(seats[from], seats[1 - from]));
        let consent = match [ends[0].1, ends[1].1] {
            [OpenedBy::Approval, OpenedBy::Acceptance] => {
                asked(0) && self.accepted.contains(&(seats[1], seats[0]))
            }
            [OpenedBy::Crossing, OpenedBy::Crossing] => asked(0) && asked(1),
            _ => false,
        };
        hold!(consent, "a channel between {seats:?} that they did not agree to");
        // In a crossing a prompt of the one at the other needs no word of its own.
        for (seat, (conn, ..)) in ends.iter().enumerate().filter(|(_, end)| end.1 == OpenedBy::Crossing) {
            let of_other = |((at, number), source): (&(ConnId, u32), &usize)| {
                (at == conn && *source == seats[1 - seat]).then_some((*at, false, *number))
            };
            self.waiting.extend(self.shown.iter().filter_map(of_other).map(|prompt| (prompt, true)));
        }
        for (conn, _, number) in ends {
            self.named.insert((conn, number), self.channels.len());
        }
        self.channels.push(seats);
        self.link(ends.map(|(conn, _, number)| (conn, number)))
    }

    fn link(&mut self, [a, b]: [(ConnId, u32); 2]) -> Result<(), Broken> {
        let seats = [self.holder(a.0)?, self.holder(b.0)?];
        hold!(seats[0] != seats[1], "a channel of {} with itself", seats[0]);
        let twice = self.links.iter().any(|(end, other)| (end.0, other.0) == (a.0, b.0));
        hold!(!twice, "a second channel between {seats:?}");
        hold!(self.links.insert(a, b).is_none() && self.links.insert(b, a).is_none(), "a number used twice");
        Ok(())
    }

    // A client.

    /// A frame is about to reach a client.
    pub(super) fn hears(&mut self, _seat: usize, conn: ConnId, frame: &[u8]) {
        self.opening = match RelayFrame::decode(frame) {
            Ok(RelayFrame::Opened { channel, .. }) => self.named.get(&(conn, channel)).copied(),
            _ => None,
        };
    }

    /// A client sends a frame.
    pub(super) fn says(&mut self, seat: usize, frame: &[u8]) -> Result<(), Broken> {
        if let Ok(ClientFrame::Rejoin { rendezvous, role }) = ClientFrame::decode(frame) {
            let presented = self.rendezvous.entry(rendezvous).or_default();
            let before = presented.insert(role, seat);
            hold!(
                before.is_none_or(|before| before == seat),
                "{before:?} and {seat} look for one channel as {role}"
            );
            if let [a, b] = *presented.values().copied().collect::<Vec<_>>() {
                let met = self.channels.iter().any(|ends| *ends == [a, b] || *ends == [b, a]);
                hold!(met, "{a} and {b} look for each other and never met");
            }
        }
        Ok(())
    }

    /// A client tells its application something.
    pub(super) fn told(
        &mut self,
        now: Instant,
        seat: usize,
        event: Event,
        client: &mut Client,
    ) -> Result<(), Broken> {
        let seen = &mut self.seats[seat];
        match event {
            Event::Incoming { request, from } => {
                let peer = *self.ids.get(&from).ok_or_else(|| Broken(format!("{from} is nobody")))?;
                let known =
                    seen.requests.insert(request, Request { peer, own: false, decided: false, over: false });
                hold!(known.is_none(), "two requests have one number");
            }
            Event::Answer { request, answer, .. } => {
                let Some(request) = seen.requests.get_mut(&request) else {
                    return Err(Broken(format!("client {seat} hears {answer:?} of no request")));
                };
                hold!(!request.over, "client {seat} hears {answer:?} of a request that is over");
                request.over = !answer.is_interim();
            }
            Event::Opened { channel, peer, role } => {
                let peer = *self.ids.get(&peer).ok_or_else(|| Broken(format!("{peer} is nobody")))?;
                let Some(number) = self.opening.take() else {
                    return Err(Broken(format!("client {seat} has a channel that the relay did not open")));
                };
                let mut ends = self.channels[number];
                ends.sort_unstable();
                hold!(
                    ends == [seat.min(peer), seat.max(peer)],
                    "{seat} takes its channel for one with {peer}"
                );
                let line = Line {
                    channel: number,
                    peer,
                    role,
                    sent: 0,
                    got: 0,
                    cut: false,
                    secured: false,
                    end: None,
                };
                hold!(seen.lines.insert(channel, line).is_none(), "two channels have one number");
            }
            Event::Secured { channel } => self.line(seat, channel)?.secured = true,
            Event::Interrupted { channel, .. } => self.line(seat, channel)?.cut = true,
            Event::Resumed { channel } => {
                self.line(seat, channel)?.cut = false;
                self.resumed += 1;
            }
            Event::Readable { channel } => {
                while let Some(packet) = client.receive(now, channel) {
                    let line = self.line(seat, channel)?;
                    let expected = packet_of(line.channel, line.peer, line.got);
                    hold!(packet == expected, "client {seat} takes {packet:?}, next is {expected:?}");
                    line.got += 1;
                    let (got, number) = (line.got, line.channel);
                    let sent = self.other(seat, number).map_or(0, |other| other.sent);
                    hold!(got <= sent, "client {seat} took {got} of {sent} packets");
                }
            }
            Event::Closed { channel, end, .. } => {
                let line = self.line(seat, channel)?;
                hold!(line.end.is_none(), "client {seat} is told twice that a channel is over");
                line.end = Some(end);
                let good = matches!(
                    end,
                    End::Finished | End::Truncated | End::Disconnected | End::Left(_) | End::NeverSecured
                );
                hold!(good, "client {seat}: {end:?}");
            }
            Event::KeysDiffer { .. } | Event::HandshakeAltered { .. } | Event::Locked { .. } => {
                return Err(Broken(format!("client {seat} is told {event:?}")));
            }
            _ => {}
        }
        Ok(())
    }

    fn line(&mut self, seat: usize, channel: ChannelId) -> Result<&mut Line, Broken> {
        let line = self.seats[seat].lines.get_mut(&channel);
        line.ok_or_else(|| Broken(format!("client {seat} speaks of a channel it never opened")))
    }

    /// The other end of a channel.
    fn other(&self, seat: usize, channel: usize) -> Option<&Line> {
        let ends = self.channels.get(channel)?;
        let other = if ends[0] == seat { ends[1] } else { ends[0] };
        self.seats[other].lines.values().find(|line| line.channel == channel)
    }

    fn live(&self, seat: usize) -> impl Iterator<Item = (ChannelId, &Line)> {
        self.seats[seat].lines.iter().filter(|(_, line)| line.end.is_none()).map(|(&id, line)| (id, line))
    }

    // What the users do.

    pub(super) fn users_moves(
        &self,
        bounds: &Bounds,
        id: impl Fn(usize) -> Option<PeerId>,
        moves: &mut Vec<Move>,
    ) {
        for &(a, b) in bounds.may_ask {
            let asked = self.asked.get(&(a, b)).copied().unwrap_or(0);
            let asks = self.seats[a].requests.values().any(|r| r.own && !r.over && r.peer == b);
            if asked < bounds.asks && !asks && id(a).is_some() && self.has_room(a, bounds) && !self.met(a, b)
            {
                moves.push(Move::Ask(a, b));
            }
        }
        for (seat, seen) in self.seats.iter().enumerate() {
            for request in seen.requests.values().filter(|request| !request.over && !request.decided) {
                match request.own {
                    false if self.has_room(seat, bounds) => moves.push(Move::Accept(seat, request.peer)),
                    _ => {}
                }
                if bounds.refuse {
                    let step = if request.own { Move::Withdraw } else { Move::Decline };
                    moves.push(step(seat, request.peer));
                }
            }
            for (_, line) in self.live(seat) {
                if line.sent < bounds.sends {
                    moves.push(Move::Send(seat, line.peer));
                }
                if self.ends < bounds.ends {
                    moves.push(Move::End(seat, line.peer));
                }
            }
        }
    }

    pub(super) fn act(&mut self, now: Instant, step: Move, client: &mut Client) -> Result<(), Broken> {
        let id_of = |ids: &BTreeMap<PeerId, usize>, seat| {
            ids.iter().find(|(_, holder)| **holder == seat).map(|(&id, _)| id)
        };
        let refused = |error: &dyn std::fmt::Display| Broken(format!("{step:?}: {error}"));
        match step {
            Move::Ask(a, b) => {
                let id = id_of(&self.ids, b).ok_or_else(|| Broken(format!("{b} has no ID")))?;
                let request = client.connect(now, id).map_err(|error| refused(&error))?;
                *self.asked.entry((a, b)).or_default() += 1;
                let asked = Request { peer: b, own: true, decided: false, over: false };
                self.seats[a].requests.insert(request, asked);
            }
            Move::Accept(a, b) | Move::Decline(a, b) | Move::Withdraw(a, b) => {
                let own = matches!(step, Move::Withdraw(..));
                let mut open = self.seats[a].requests.iter_mut();
                let wanted = open.find(|(_, r)| r.own == own && r.peer == b && !r.over && !r.decided);
                let Some((&id, request)) = wanted else {
                    return Err(Broken(format!("{step:?}: no request")));
                };
                request.decided = true;
                match step {
                    Move::Accept(..) => {
                        client.accept(now, id).map_err(|error| refused(&error))?;
                        self.accepted.insert((a, b));
                    }
                    Move::Decline(..) => {
                        client.cancel(now, id).map_err(|error| refused(&error))?;
                        request.over = true;
                    }
                    _ => client.withdraw(now, id).map_err(|error| refused(&error))?,
                }
            }
            Move::Send(a, b) | Move::End(a, b) => {
                let wanted = self.live(a).find(|(_, line)| line.peer == b).map(|(id, _)| id);
                let Some(id) = wanted else { return Err(Broken(format!("{step:?}: no channel"))) };
                if matches!(step, Move::End(..)) {
                    self.ends += 1;
                    return client.disconnect(now, id).map_err(|error| refused(&error));
                }
                let line = self.line(a, id)?;
                let packet = packet_of(line.channel, a, line.sent);
                // One who has heard the end of the other side takes nothing more.
                if client.send(now, id, packet).is_ok() {
                    line.sent += 1;
                }
            }
            _ => {}
        }
        Ok(())
    }

    // What must hold.

    /// What must hold after every step.
    pub(super) fn check<'a>(&self, clients: impl Iterator<Item = &'a Client>) -> Result<(), Broken> {
        let clients: Vec<_> = clients.collect();
        for (seat, client) in clients.iter().enumerate() {
            let waits =
                self.seats[seat].requests.values().any(|r| !r.over) || self.live(seat).next().is_some();
            hold!(!waits || client.poll_timeout().is_some(), "client {seat} waits without a deadline");
            for (id, line) in self.live(seat) {
                let twice = self.live(seat).filter(|(_, other)| other.peer == line.peer).count();
                hold!(twice == 1, "client {seat} has two channels with {}", line.peer);
                let Some(other) = self.other(seat, line.channel) else { continue };
                hold!(line.role != other.role, "both ends of a channel have the same role");
                let other_id = self.seats[line.peer].lines.iter().find(|(_, o)| o.channel == line.channel);
                if let Some((&other_id, _)) = other_id
                    && let (Some(a), Some(b)) = (client.verifier(id), clients[line.peer].verifier(other_id))
                {
                    hold!(a == b, "the two ends of a channel have different keys");
                }
            }
        }
        Ok(())
    }

    /// Whether nobody waits for anything that must end.
    pub(super) fn is_at_rest(&self) -> Result<(), String> {
        if self.waiting.values().any(|over| !over) {
            return Err("a request waits at the relay".into());
        }
        for (seat, seen) in self.seats.iter().enumerate() {
            if let Some(request) = seen.requests.values().find(|request| !request.over) {
                return Err(format!("client {seat} waits for an answer about {}", request.peer));
            }
            for (_, line) in self.live(seat) {
                let other = self.other(seat, line.channel);
                if line.cut || other.is_none_or(|other| other.end.is_some() || other.secured != line.secured)
                {
                    return Err(format!("client {seat} alone has its channel with {}", line.peer));
                }
            }
        }
        Ok(())
    }

    /// At the end: what the two ends of each channel say of it.
    pub(super) fn ends_agree(&self) -> Result<(), Broken> {
        for (number, ends) in self.channels.iter().enumerate() {
            let lines = ends.map(|seat| self.seats[seat].lines.values().find(|line| line.channel == number));
            let [Some(a), Some(b)] = lines else { continue };
            if a.end.is_none() && b.end.is_none() {
                let linked = |(end, other): (&(ConnId, u32), &(ConnId, u32))| {
                    let at = |end: &(ConnId, u32)| self.holders.get(&end.0).copied();
                    (at(end), at(other)) == (Some(ends[0]), Some(ends[1]))
                };
                hold!(self.links.iter().any(linked), "{ends:?} have a channel, and the relay has none");
                continue;
            }
            for (this, other) in [(a, b), (b, a)] {
                match this.end {
                    Some(End::Finished) => {
                        let all = this.got == other.sent && other.got == this.sent;
                        hold!(all, "finished, and not everything arrived");
                    }
                    // Its partner has finished, and was cut before it could say so for the last time.
                    Some(End::Truncated) => {
                        hold!(other.end == Some(End::Finished), "truncated, the other side: {:?}", other.end);
                    }
                    _ => hold!(!this.secured, "secured, and ended as {:?}", this.end),
                }
            }
        }
        Ok(())
    }

    /// Ends of channels that are secured: the client, and with whom.
    pub(super) fn secured(&self) -> Vec<(usize, usize)> {
        let ends = (0..self.seats.len()).flat_map(|seat| self.live(seat).map(move |(_, line)| (seat, line)));
        ends.filter(|(_, line)| line.secured).map(|(seat, line)| (seat, line.peer)).collect()
    }

    /// A packet that was sent over a channel that stands, and did not arrive.
    pub(super) fn missing(&self) -> Option<String> {
        (0..self.seats.len()).flat_map(|seat| self.live(seat).map(move |(_, line)| (seat, line))).find_map(
            |(seat, line)| {
                let sent = self.other(seat, line.channel)?.sent;
                (line.secured && line.got < sent).then(|| format!("client {seat} has {} of {sent}", line.got))
            },
        )
    }

    pub(super) fn has_room(&self, seat: usize, bounds: &Bounds) -> bool {
        self.live(seat).count() < usize::from(bounds.channels)
    }

    /// Whether two have a channel with each other.
    pub(super) fn met(&self, a: usize, b: usize) -> bool {
        self.live(a).any(|(_, line)| line.peer == b) || self.live(b).any(|(_, line)| line.peer == a)
    }

    pub(super) fn ended(&self) -> Ended {
        Ended { opened: self.channels.len(), resumed: self.resumed }
    }
}

/// A packet that says which it is.
fn packet_of(channel: usize, from: usize, number: u8) -> Bytes {
    Bytes::from(vec![channel as u8, from as u8, number])
}
