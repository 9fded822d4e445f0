"""PROTOCOL.md, Records (Sending), Retransmission and Key update: packets to records, kept until they are confirmed."""

from collections import deque
from dataclasses import dataclass

from .derive import leb128
from .records import OVERHEAD, Chain, Item, Violation, pack

BODY_MAX = 16_383
FIRST_WINDOW = 65_536
CUT_MIN = 1_024
UNCONFIRMED_BYTES, UNCONFIRMED_RECORDS = 1 << 20, 1_024
GENERATION_BYTES, GENERATION_TIME = 1 << 30, 15 * 60.0
PASS_PAUSE = 1.0


@dataclass(frozen=True)
class Limits:
    """After how many records of a generation the next begins."""

    generation_records: int = 1 << 20


@dataclass(frozen=True)
class Sealed:
    """A record that may have to be sent again. `packets` of all have gone with it and those before it."""

    record: bytes
    counted: int
    packets: int


@dataclass(frozen=True)
class Fate:
    """What became of the packets sent."""

    delivered: int
    uncertain: int
    unsent: int


class Sending:
    """One direction of a channel, at the side that sends."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._chain: Chain | None = None
        self._queue: deque[bytes] = deque()
        # How much of the first packet of the queue has gone as PARTs.
        self._gone = 0
        self._held: tuple[Item, bytes, int] | None = None
        self._finish = False
        self._kept: deque[Sealed] = deque()
        self._taken = self._whole = self.delivered = 0
        self.next_seq = self.confirmed = 0
        self._sealed_bytes = self._confirmed_bytes = 0
        self._edge = FIRST_WINDOW
        self._generation_since = 0.0
        self._generation_records = self._generation_bytes = 0
        self._pass_at: int | None = None
        self._pass_begun: tuple[float, int] | None = None
        self._fin: int | None = None

    def secure(self, chain: Chain, now: float) -> None:
        self._chain, self._generation_since = chain, now

    def send(self, packet: bytes) -> int:
        """Its number, counted from 1."""
        self._queue.append(packet)
        self._taken += 1
        return self._taken

    def finish(self) -> None:
        """FIN goes behind what is queued."""
        self._finish = True

    @property
    def is_delivered(self) -> bool:
        return self.delivered == self._taken

    @property
    def is_unconfirmed(self) -> bool:
        return bool(self._kept)

    @property
    def fin_is_confirmed(self) -> bool:
        return self._fin is not None and self.confirmed > self._fin

    def fate(self) -> Fate:
        begun = self._whole + (self._gone > 0)
        return Fate(self.delivered, begun - self.delivered, self._taken - begun)

    def confirm(self, recv_next: int, window: int) -> None:
        if recv_next > self.next_seq:
            raise Violation("what was never sealed is confirmed")
        if recv_next < self.confirmed:
            return
        while self.confirmed < recv_next:
            sealed = self._kept.popleft()
            self.confirmed += 1
            self._confirmed_bytes += sealed.counted
            self.delivered = sealed.packets
        self._edge = max(self._edge, self._confirmed_bytes + window)

    def attached(self) -> None:
        """A new attachment: a pass may begin at once."""
        self._pass_at = self._pass_begun = None

    def retransmit(self, now: float) -> None:
        """The other side wants everything again that it has not confirmed."""
        if self._pass_at is not None or not self._kept:
            return
        if self._pass_begun is None or self.confirmed > self._pass_begun[1] or now >= self._pass_begun[0] + PASS_PAUSE:
            self._pass_at, self._pass_begun = self.confirmed, (now, self.confirmed)

    def next_record(self, now: float) -> bytes | None:
        """What is to be sent again comes first; then a new record is sealed, if the window allows it."""
        if self._pass_at is not None:
            at = max(self._pass_at, self.confirmed)
            if at < self.next_seq:
                self._pass_at = at + 1
                return self._kept[at - self.confirmed].record
            self._pass_at = None
        self._held = self._held or self._take()
        if self._held is None:
            return None
        if self._is_generation_over(now):
            record = self._seal(Item.KEY_UPDATE, b"")
            assert self._chain, "something was sealed"
            self._chain.ratchet()
            self._generation_since, self._generation_records, self._generation_bytes = now, 0, 0
            return record
        item, body, packets = self._held
        self._held = None
        self._whole += packets
        return self._seal(item, body)

    def _is_generation_over(self, now: float) -> bool:
        return self._generation_records > 0 and (
            self._generation_records >= self._limits.generation_records
            or self._generation_bytes >= GENERATION_BYTES
            or now >= self._generation_since + GENERATION_TIME
        )

    def _take(self) -> tuple[Item, bytes, int] | None:
        """The next item, its body, and how many packets end with it."""
        if not self._queue:
            return (Item.FIN, b"", 0) if self._finish and self._fin is None else None
        allowed = min(self._edge, self._confirmed_bytes + UNCONFIRMED_BYTES) - self._sealed_bytes - OVERHEAD - 1
        room = min(BODY_MAX, allowed)
        if len(self._kept) >= UNCONFIRMED_RECORDS or room < 0:
            return None
        rest = self._queue[0][self._gone :]
        if len(rest) > room:
            if room < CUT_MIN or len(rest) <= BODY_MAX and not self._gone:
                return None
            self._gone += room
            return Item.PART, rest[:room], 0
        if self._gone:
            self._gone = 0
            self._queue.popleft()
            return Item.END, rest, 1
        return self._take_whole(room)

    def _take_whole(self, room: int) -> tuple[Item, bytes, int]:
        """As many whole packets as fit, and always the first."""
        packets = [self._queue.popleft()]
        length = _length_in_many(packets[0])
        while self._queue and length + _length_in_many(self._queue[0]) <= room:
            packets.append(self._queue.popleft())
            length += _length_in_many(packets[-1])
        return (Item.END, packets[0], 1) if len(packets) == 1 else (Item.MANY, pack(packets), len(packets))

    def _seal(self, item: Item, body: bytes) -> bytes:
        assert self._chain, "nothing is sealed before the channel is secured"
        record = self._chain.seal(self.next_seq, bytes([item]) + body)
        counted = len(record) if item in (Item.PART, Item.END, Item.MANY) else 0
        self._kept.append(Sealed(record, counted, self._whole))
        self._sealed_bytes += counted
        self._generation_records += 1
        self._generation_bytes += len(record)
        self._fin = self.next_seq if item == Item.FIN else self._fin
        self.next_seq += 1
        return record


def _length_in_many(packet: bytes) -> int:
    return len(leb128(len(packet))) + len(packet)
