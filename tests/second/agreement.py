"""PROTOCOL.md, Key agreement, Runs: which run is on, what is sent in it, and its verdict."""

import secrets
import struct
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum, auto

from . import cpace
from .cpace import Keys, Opening, Scalar, Share, ShareRefused
from .frames import VERSION

SHARE, CONFIRM = 0x01, 0x02
SHARE_FORM, CONFIRM_FORM = ">BH32s24s", ">BH16s32s"
GUESSES_OF_CHANNEL, GUESSES_OF_PASSPHRASE = 5, 20
RUNS_FAILED_MAX = 16
RUN_MAX = 65_535
DELAY_MAX = 8.0
SILENCE = 15.0


class Stage(Enum):
    IDLE = auto()
    ASKED = auto()
    DELAYED = auto()
    SHARED = auto()
    CONFIRMED = auto()
    FAILED = auto()
    LOCKED = auto()
    SECURED = auto()


class Ended(Exception):
    """The channel is over; the text says why."""


@dataclass
class Secret:
    """A key of the user's, one object for each, with the guesses that all channels of this client have charged to it."""

    prs: bytes
    is_generated: bool
    charged: int = 0

    def allows(self) -> bool:
        return self.is_generated or self.charged < GUESSES_OF_PASSPHRASE


@dataclass
class Run:
    """One attempt: our share, and once both are there what they make."""

    number: int
    secret: Secret
    scalar: Scalar
    share: Share
    keys: Keys | None = None
    altered: bool = False


@dataclass
class Agreement:
    opening: Opening
    role: int
    caps: int
    tell: Callable[..., None]
    stage: Stage = Stage.IDLE
    run: Run | None = None
    # Our CONFIRM of this run, once it is out: its payload, and where the other end is to be found.
    confirm: bytes = b""
    rendezvous: bytes = b""
    outbox: list[bytes] = field(default_factory=list)
    caps_of_other: int = 0
    # This run's number: of our share, or of the other side's that is kept.
    _number: int = 0
    _secret: Secret | None = None
    _set_meanwhile: bool = False
    _kept: tuple[int, Share] | None = None
    _answer_at: float = 0.0
    _answers_delayed: int = 0
    _silent_at: float | None = None
    _charged: int = 0
    _failed: int = 0

    @property
    def secured(self) -> Keys | None:
        return self.run.keys if self.stage == Stage.SECURED and self.run else None

    def set_key(self, secret: Secret, now: float) -> None:
        changed = secret is not self._secret
        self._secret = secret
        self._charged = 0 if changed else self._charged
        match self.stage:
            case Stage.ASKED | Stage.LOCKED if self._kept:
                self._answer(now)
            case Stage.IDLE | Stage.FAILED | Stage.LOCKED:
                self._open()
            case Stage.SHARED if changed:
                self._open()
            case Stage.CONFIRMED:
                self._set_meanwhile |= changed

    def handle(self, payload: bytes, now: float) -> None:
        """A SHARE or a CONFIRM. One of another length is dropped."""
        if self.stage == Stage.SECURED:
            return
        if payload[0] == SHARE and len(payload) == struct.calcsize(SHARE_FORM):
            _, number, element, ad = struct.unpack(SHARE_FORM, payload)
            self._handle_share(number, Share(element, ad), now)
        elif payload[0] == CONFIRM and len(payload) == struct.calcsize(CONFIRM_FORM):
            _, number, check, tag = struct.unpack(CONFIRM_FORM, payload)
            if self.stage == Stage.CONFIRMED and self.run and number == self.run.number:
                self._judge(self.run, check, tag)

    def tick(self, now: float) -> None:
        if self.stage == Stage.DELAYED and now >= self._answer_at:
            self._answer(now)
        if self.stage == Stage.CONFIRMED and self._silent_at is not None and now >= self._silent_at:
            self._silent_at = None
            self.tell("PeerSilent")

    def attached(self, now: float) -> None:
        """The other end is found again: it may not have our CONFIRM."""
        if self.confirm:
            self.outbox.append(self.confirm)
            self._silent_at = now + SILENCE

    def detached(self) -> None:
        self._silent_at = None
        self.outbox.clear()

    def _handle_share(self, number: int, share: Share, now: float) -> None:
        if self.stage == Stage.SHARED and self.run and number == self.run.number:
            self._confirm(self.run, share, now)
        elif number == self._number + 1:
            self._number, self._kept, self.confirm = number, (number, share), b""
            if self.stage in (Stage.SHARED, Stage.CONFIRMED):
                self._fail()
            if self.stage != Stage.LOCKED:
                self._take_up(number, now)

    def _take_up(self, number: int, now: float) -> None:
        """A run that the other side has opened: the first is answered at once, others are held back for a while."""
        if not self._secret:
            self.stage = Stage.ASKED
        elif number == 1:
            self._answer(now)
        else:
            self._answer_at = now + min(2.0**self._answers_delayed, DELAY_MAX)
            self._answers_delayed += 1
            self.stage = Stage.DELAYED

    def _open(self) -> None:
        """The next run, by an act of the local user."""
        if self._number == RUN_MAX:
            raise Ended("TooManyRuns")
        if not self._may_guess():
            return
        self._number += 1
        self._begin(self._number)
        self.stage = Stage.SHARED

    def _answer(self, now: float) -> None:
        """Our share of the run that was kept, and at once our CONFIRM."""
        assert self._kept, "only a share is answered"
        if self._may_guess():
            (number, share), self._kept = self._kept, None
            self._confirm(self._begin(number), share, now)

    def _may_guess(self) -> bool:
        if self._secret and self._secret.allows() and self._charged < GUESSES_OF_CHANNEL:
            return True
        self.stage = Stage.LOCKED
        self.tell("Locked")
        return False

    def _begin(self, number: int) -> Run:
        assert self._secret, "a run is of a key"
        scalar = Scalar(self._secret.prs, self.opening, number, secrets.token_bytes(64))
        ad = cpace.associated_data(self.opening, self.role, number, VERSION, self.caps)
        self.run = Run(number, self._secret, scalar, Share(scalar.element, ad))
        self.outbox.append(struct.pack(SHARE_FORM, SHARE, number, scalar.element, ad))
        return self.run

    def _confirm(self, run: Run, theirs: Share, now: float) -> None:
        try:
            product = run.scalar.product(theirs.element)
        except ShareRefused as error:
            raise Ended("HandshakeInvalid") from error
        version, caps = theirs.ad[0], int.from_bytes(theirs.ad[-4:])
        expected = cpace.associated_data(self.opening, 1 - self.role, run.number, version, caps)
        run.altered = version == 0 or theirs.ad != expected
        self.caps_of_other = min(max(caps & 0xFF, 16), 30)
        shares = (run.share, theirs) if self.role == cpace.CONNECTOR else (theirs, run.share)
        keys = run.keys = Keys(run.secret.prs, self.opening, run.number, product, shares)
        run.secret.charged += 1
        self._charged += 1
        self.confirm = struct.pack(CONFIRM_FORM, CONFIRM, run.number, keys.check, keys.tags[self.role])
        self.rendezvous = keys.rendezvous
        self.outbox.append(self.confirm)
        self._silent_at = now + SILENCE
        self._set_meanwhile = False
        self.stage = Stage.CONFIRMED

    def _judge(self, run: Run, check: bytes, tag: bytes) -> None:
        assert run.keys, "a confirmed run has made keys"
        if run.altered or not cpace.equal(check, run.keys.check):
            self._failed_by("HandshakeAltered", run)
        elif not cpace.equal(tag, run.keys.tags[1 - self.role]):
            self._failed_by("KeysDiffer", run)
        else:
            run.secret.charged -= 1
            self._charged -= 1
            self.stage = Stage.SECURED
            if self._secret is not run.secret:
                self.tell("KeyRefused")

    def _failed_by(self, verdict: str, run: Run) -> None:
        self.stage, self.confirm = Stage.FAILED, b""
        self.tell(verdict)
        self._fail()
        if self._set_meanwhile:
            self._open()

    def _fail(self) -> None:
        self._failed += 1
        if self._failed == RUNS_FAILED_MAX:
            raise Ended("TooManyRuns")
