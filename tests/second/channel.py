"""PROTOCOL.md, STATE, ABORT and The life of a channel: agreement, the two directions, cuts, and the end.

A channel does no I/O. It is given what has come and the time, and asked for the next frame whenever one can be sent.
"""

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from .agreement import CONFIRM, SHARE, Agreement, Ended, Secret
from .cpace import Opening
from .frames import Kind, encode, forward
from .records import (
    ABORT, CTRL, DATA, SEQ_END, Chain, Flags, State, Violation, decode_ctrl, is_well_formed, seq_of,
)  # fmt: skip
from .receiving import ASK_AGAIN, GAP_MAX, Receiving
from .sending import Limits, Sending

CAPS = 20
PACKET_MAX_UNSECURED = 65_536
NEVER_SECURED = 10 * 60.0
PATIENCE, PATIENCE_UNSECURED = 10 * 60.0, 2 * 60.0
COMPLETE_MAX = 30.0
REJOIN_AGAIN = 60.0
PAUSE_MIN, PAUSE_MAX = 0.5, 30.0
STATE_RECORDS, STATE_BYTES, STATE_DELAY = 32, 64 << 10, 0.2
QUIET, QUIET_UNCONFIRMED = 20.0, 2.0
QUESTIONS, QUESTION_PAUSE = 3, 2.0
MISSING = Flags.ANSWER | Flags.RETRANSMIT
LOSSES_MAX = 3
WRONG_PARTNERS_MAX = 16


@dataclass
class Attachment:
    """The way through the relay. `proved` by a record that opened; `known` where the other side stands."""

    number: int
    proved: bool
    known: bool


@dataclass
class Debt:
    """What a STATE would tell: the records opened since the last one."""

    records: int = 0
    bytes: int = 0
    since: float = 0.0


class Channel:
    def __init__(
        self, peer: bytes, opening: Opening, role: int, number: int, limits: Limits, tell: Callable[..., None],
        now: float,
    ) -> None:  # fmt: skip
        self.peer = peer
        self.role = role
        self.ended = False
        self._tell = tell
        self._attachment: Attachment | None = Attachment(number, proved=True, known=True)
        self._frames: deque[bytes] = deque()
        self._agreement = Agreement(opening, role, CAPS, tell)
        self._agreed_at = now
        self._sending = Sending(limits)
        self._receiving: Receiving | None = None
        self._ctrl_out: Chain | None = None
        self._ctrl_in: Chain | None = None
        self._ctrl_next = 0
        self._ctrl_opened = -1
        self._state: Flags | None = None
        self._debt = Debt()
        self._heard_ever = False
        self._questions = 0
        # When the other side is asked for an answer, if nothing is heard of it.
        self._ask_at = now
        self._losses = 0
        self._wrong_partners = 0
        self._cut_since: float | None = None
        self._rejoin_at = now
        self._left = 0
        self._complete_since: float | None = None
        tell("Opened", peer=peer.decode(), role=role)

    # What the user does.

    def set_key(self, secret: Secret, now: float) -> None:
        self._guard(lambda: self._agreement.set_key(secret, now), now)

    def send(self, packet: bytes) -> int:
        limit = 1 << self._agreement.caps_of_other if self._receiving else PACKET_MAX_UNSECURED
        if len(packet) > limit:
            raise ValueError(f"the other side takes no more than {limit} bytes")
        return self._sending.send(packet)

    def finish(self) -> None:
        """Ends it in good order behind what is queued; before it is secured, at once."""
        if self._receiving:
            self._sending.finish()
        else:
            self._end("Disconnected")

    def abort(self) -> None:
        self._end("Disconnected", abort=0)

    # What comes from the link.

    @property
    def number(self) -> int | None:
        return self._attachment.number if self._attachment else None

    @property
    def rendezvous(self) -> bytes:
        return self._agreement.rendezvous

    @property
    def is_over(self) -> bool:
        """Ended, and everything told that was to be told."""
        return self.ended and not self._frames

    def handle(self, payload: bytes, now: float) -> None:
        self._guard(lambda: self._handle(payload, now), now)

    def attached(self, number: int, now: float) -> None:
        self._attachment = Attachment(number, proved=False, known=False)
        self._sending.attached()
        self._ask_at, self._questions = now + QUIET_UNCONFIRMED, 0
        if not self._heard_ever:
            self._agreement.attached(now)
        if self._receiving:
            self._want(Flags.RETRANSMIT)

    def detached(self, word: str | None, now: float) -> None:
        """The relay said CLOSED, or nothing and the link is lost."""
        if not self._attachment or self.ended:
            return
        if self._complete_since is not None:
            self._attachment = None
            self._end("Finished")
        elif not self._agreement.confirm:
            self._attachment = None
            self._end("Left")
        else:
            self._pause(now)
            self._tell_interrupted(word, now)

    def offline(self, now: float) -> None:
        """The link is lost, and with it what was to be told."""
        self._frames.clear()
        self.detached(None, now)

    def tick(self, now: float) -> None:
        if not self.ended:
            self._guard(lambda: self._tick(now), now)

    # What goes to the link, asked for while it is online.

    def next_frame(self, now: float) -> bytes | None:
        if self._frames:
            return self._frames.popleft()
        if self.ended:
            return None
        if not self._attachment:
            if now < self._rejoin_at:
                return None
            self._rejoin_at = now + REJOIN_AGAIN
            return encode(Kind.REJOIN, rendezvous=self.rendezvous, role=self.role)
        payload = self._next_payload(self._attachment, now)
        if payload:
            return forward(self._attachment.number, payload)
        if self._complete_since is not None and self._sending.fin_is_confirmed:
            self._end("Finished")
            return self._frames.popleft()
        return None

    def online(self, now: float) -> None:
        """The link is there anew: the other end is looked for at once."""
        self._rejoin_at = now

    # How.

    def _guard(self, act: Callable[[], None], now: float) -> None:
        """A channel ends by what goes wrong in it."""
        try:
            act()
        except Violation:
            self._end("Violation", abort=2)
        except Ended as end:
            self._end(str(end))

    def _handle(self, payload: bytes, now: float) -> None:
        if self.ended:
            return
        if payload[0] in (SHARE, CONFIRM):
            self._agreement.handle(payload, now)
            if self._agreement.secured and not self._receiving:
                self._secure(now)
        elif payload[0] in (DATA, CTRL) and self._receiving and is_well_formed(payload):
            (self._handle_data if payload[0] == DATA else self._handle_ctrl)(self._receiving, payload, now)

    def _secure(self, now: float) -> None:
        keys = self._agreement.secured
        assert keys, "the keys agree"
        self._sending.secure(Chain(DATA, keys.data[self.role]), now)
        self._receiving = Receiving(Chain(DATA, keys.data[1 - self.role]), 1 << CAPS)
        self._ctrl_out, self._ctrl_in = Chain(CTRL, keys.ctrl[self.role]), Chain(CTRL, keys.ctrl[1 - self.role])
        self._ask_at = now + QUIET
        self._tell("Secured", verifier=keys.verifier.hex())
        self._want(Flags(0) if self._attachment and self._attachment.known else Flags.RETRANSMIT)

    def _handle_data(self, receiving: Receiving, record: bytes, now: float) -> None:
        seq = seq_of(record)
        if seq < receiving.next_seq:
            return
        if seq > receiving.next_seq:
                # Nothing vouches for the number yet: that the next one is missing is all it tells.
            if not receiving.gap:
                receiving.miss(receiving.next_seq + 1, now)
                self._want(MISSING)
            return
        packets = receiving.open(record, now)
        if packets is None:
            return self._wrong_tag(now)
        self._heard(now)
        self._losses = 0
        self._debt = Debt(self._debt.records + 1, self._debt.bytes + len(record), self._debt.since or now)
        if self._debt.records >= STATE_RECORDS or self._debt.bytes >= STATE_BYTES or receiving.finished:
            self._want(Flags(0))
        for packet in packets:
            self._tell("Packet", packet=packet)
        if receiving.finished:
            self._sending.finish()
            self._tell("Finishing")
            self._settle(now)

    def _handle_ctrl(self, receiving: Receiving, record: bytes, now: float) -> None:
        assert self._ctrl_in, "a secured channel has its chains"
        if seq_of(record) <= self._ctrl_opened:
            return
        plaintext = self._ctrl_in.open(record)
        if plaintext is None:
            return self._wrong_tag(now)
        self._ctrl_opened = seq_of(record)
        self._heard(now)
        match decode_ctrl(plaintext):
            case State() as state:
                self._handle_state(receiving, state, now)
            case code:
                self._end("Aborted", code=code)

    def _handle_state(self, receiving: Receiving, state: State, now: float) -> None:
        before = self._sending.delivered
        self._sending.confirm(state.recv_next, state.window)
        if self._sending.delivered > before:
            self._tell("Delivered", number=self._sending.delivered)
        self._ask_later(now)
        if self._attachment:
            self._attachment.known = True
        if state.flags & Flags.ANSWER:
            self._want(Flags(0))
        if state.flags & Flags.RETRANSMIT:
            self._sending.retransmit(now)
        if state.send_next > receiving.next_seq:
            receiving.miss(state.send_next, now)
        else:
            receiving.gap = None
        self._settle(now)

    def _heard(self, now: float) -> None:
        """A record has opened: the attachment is proved."""
        self._heard_ever = True
        self._questions = self._left = 0
        self._ask_later(now)
        if self._attachment:
            self._attachment.proved = True
        if self._cut_since is not None:
            self._cut_since = None
            self._tell("Resumed")

    def _ask_later(self, now: float) -> None:
        self._ask_at = now + (QUIET_UNCONFIRMED if self._sending.is_unconfirmed else QUIET)

    def _wrong_tag(self, now: float) -> None:
        if self._attachment and not self._attachment.proved and self._wrong_partners < WRONG_PARTNERS_MAX:
            self._wrong_partners += 1
            self._leave(now)
        else:
            self._end("Tampered", abort=1)

    def _settle(self, now: float) -> None:
        """Complete: everything of the other side is here, and everything of ours is there."""
        complete = self._receiving and self._receiving.finished and self._sending.is_delivered
        if complete and self._complete_since is None:
            self._complete_since = now

    def _want(self, flags: Flags) -> None:
        self._state = flags if self._state is None else self._state | flags

    def _next_payload(self, attachment: Attachment, now: float) -> bytes | None:
        if self._agreement.outbox:
            self._agreed_at = now
            return self._agreement.outbox.pop(0)
        if not self._receiving:
            return None
        if self._state is not None:
            return self._seal_state(self._receiving, self._state)
        if not attachment.known:
            return None
        was_unconfirmed = self._sending.is_unconfirmed
        record = self._sending.next_record(now)
        if record and not was_unconfirmed:
            self._ask_at = min(self._ask_at, now + QUIET_UNCONFIRMED)
        return record

    def _seal_state(self, receiving: Receiving, flags: Flags) -> bytes:
        self._state, self._debt = None, Debt()
        state = State(receiving.next_seq, self._sending.next_seq, receiving.window(), flags)
        return self._seal_ctrl(state.encode())

    def _seal_ctrl(self, plaintext: bytes) -> bytes:
        assert self._ctrl_out, "a secured channel has its chains"
        if self._ctrl_next == SEQ_END:
            raise Ended("Exhausted")
        record = self._ctrl_out.seal(self._ctrl_next, plaintext)
        self._ctrl_next += 1
        return record

    def _tick(self, now: float) -> None:
        self._agreement.tick(now)
        if self._receiving is None and now >= self._agreed_at + NEVER_SECURED:
            raise Ended("NeverSecured")
        patience = PATIENCE if self._receiving else PATIENCE_UNSECURED
        if self._cut_since is not None and now >= self._cut_since + patience:
            raise Ended("Truncated" if self._receiving else "Left")
        if self._complete_since is not None and now >= self._complete_since + COMPLETE_MAX:
            raise Ended("Finished")
        if self._attachment and self._receiving:
            self._tick_attached(self._receiving, now)

    def _tick_attached(self, receiving: Receiving, now: float) -> None:
        if self._debt.records and now >= self._debt.since + STATE_DELAY:
            self._want(Flags(0))
        if receiving.gap:
            if now >= receiving.gap.since + GAP_MAX:
                return self._lose(receiving, now)
            if now >= receiving.gap.ask_at:
                receiving.gap.ask_at = now + ASK_AGAIN
                self._want(MISSING)
        if now >= self._ask_at:
            self._ask_at = now + QUESTION_PAUSE
            self._ask(now)

    def _ask(self, now: float) -> None:
        """A question that the transport has not taken yet cannot have been answered, and does not count."""
        if self._state is not None and Flags.ANSWER in self._state:
            return
        if self._questions == QUESTIONS:
            return self._leave(now)
        self._questions += 1
        self._want(Flags.ANSWER)

    def _lose(self, receiving: Receiving, now: float) -> None:
        """A gap that does not close."""
        receiving.gap = None
        self._losses += 1
        if self._losses == LOSSES_MAX:
            self._end("RelayLoss", abort=3)
        else:
            self._leave(now)

    def _leave(self, now: float) -> None:
        """Away from an attachment that is none, or not that of the other side."""
        if self._complete_since is not None:
            return self._end("Finished")
        self._frames.append(encode(Kind.CLOSE, channel=self.number))
        self._pause(now, is_left=True)
        self._tell_interrupted(None, now)

    def _pause(self, now: float, is_left: bool = False) -> None:
        """Until the other end is looked for: not at all after an attachment that was proved."""
        assert self._attachment, "there was an attachment"
        pause = 0.0
        if is_left or not self._attachment.proved:
            pause = min(PAUSE_MIN * 2**self._left, PAUSE_MAX) * random.uniform(0.75, 1)
            self._left += 1
        self._attachment, self._state = None, None
        self._agreement.detached()
        self._rejoin_at = now + pause

    def _tell_interrupted(self, word: str | None, now: float) -> None:
        if self._cut_since is None:
            self._cut_since = now
            self._tell("Interrupted", word=word)

    def _end(self, why: str, abort: int | None = None, code: int | None = None) -> None:
        if self.ended:
            return
        if self._attachment:
            if abort is not None and self._ctrl_out:
                self._frames.append(forward(self._attachment.number, self._seal_ctrl(bytes([ABORT, abort]))))
            self._frames.append(encode(Kind.CLOSE, channel=self._attachment.number))
        self.ended, self._attachment = True, None
        fate = self._sending.fate()
        self._tell("Closed", why=why, code=code, delivered=fate.delivered, uncertain=fate.uncertain, unsent=fate.unsent)
