"""PROTOCOL.md, Records and Retransmission (Gap): records to packets, in order, each once."""

from dataclasses import dataclass

from .records import COUNTED, Chain, Item, Violation, decode_data, seq_of, unpack
from .sending import FIRST_WINDOW

WINDOW = 1 << 20
ASK_AGAIN = 1.0
GAP_MAX = 10.0


@dataclass
class Gap:
    """Records below `known` were sent and have not come."""

    known: int
    since: float
    ask_at: float


class Receiving:
    """One direction of a channel, at the side that receives. Packets are handed over at once, so none ever waits."""

    def __init__(self, chain: Chain, packet_max: int) -> None:
        self._chain = chain
        self._packet_max = packet_max
        self._parts: bytearray | None = None
        self._received = 0
        self._edge = FIRST_WINDOW
        self.next_seq = 0
        self.finished = False
        self.gap: Gap | None = None

    def window(self) -> int:
        """What a STATE is to say; from now on it is promised."""
        self._edge = self._received + WINDOW
        return WINDOW

    def open(self, record: bytes, now: float) -> list[bytes] | None:
        """The packets that the next record completes, or nothing if its tag is wrong."""
        assert seq_of(record) == self.next_seq, "the caller sees to the order"
        plaintext = self._chain.open(record)
        if plaintext is None:
            return None
        item, body = decode_data(plaintext)
        if self.finished or self._parts is not None and item not in (Item.PART, Item.END, Item.KEY_UPDATE):
            raise Violation(f"{item.name} where it may not be")
        if item in COUNTED:
            self._received += len(record)
        if self._received > self._edge:
            raise Violation("more bytes than the window allows")
        self.next_seq += 1
        if self.gap:
            self.gap = None if self.next_seq >= self.gap.known else Gap(self.gap.known, now, now + ASK_AGAIN)
        return self._packets(item, body)

    def _packets(self, item: Item, body: bytes) -> list[bytes]:
        packets = []
        match item:
            case Item.PART:
                self._parts = (self._parts or bytearray()) + body
                if len(self._parts) > self._packet_max:
                    raise Violation("a packet that is too long")
            case Item.END:
                packets = [bytes(self._parts or b"") + body]
                self._parts = None
            case Item.MANY:
                packets = unpack(body)
            case Item.KEY_UPDATE:
                self._chain.ratchet()
            case Item.FIN:
                self.finished = True
        if any(len(packet) > self._packet_max for packet in packets):
            raise Violation("a packet that is too long")
        return packets

    def miss(self, known: int, now: float) -> None:
        """Everything below `known` was sent."""
        if not self.gap:
            self.gap = Gap(known, now, now + ASK_AGAIN)
        self.gap.known = max(self.gap.known, known)
