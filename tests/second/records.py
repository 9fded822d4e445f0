"""PROTOCOL.md, Records and STATE: sealing and opening, and the items inside."""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from .derive import derive, leb128

DATA, CTRL = 0x10, 0x11
HEADER = 9
OVERHEAD = HEADER + 16
PLAINTEXT_MAX = 65_536
SEQ_END = 2**60


class Item(IntEnum):
    """What a DATA record holds."""

    PART = 1
    END = 2
    FIN = 3
    KEY_UPDATE = 4
    MANY = 5


# What the window counts.
COUNTED = {Item.PART, Item.END, Item.MANY}
STATE, ABORT = 1, 2


class Flags(IntFlag):
    ANSWER = 1
    RETRANSMIT = 2


class Violation(ValueError):
    """The other side broke the protocol."""


@dataclass(frozen=True)
class State:
    """Where a side stands."""

    recv_next: int
    send_next: int
    window: int
    flags: Flags = Flags(0)

    def encode(self) -> bytes:
        return struct.pack(">BQQIB", STATE, self.recv_next, self.send_next, self.window, self.flags)


def decode_ctrl(plaintext: bytes) -> State | int:
    """A STATE, or the code of an ABORT."""
    match plaintext[0], len(plaintext):
        case 1, 22:
            _, recv_next, send_next, window, flags = struct.unpack(">BQQIB", plaintext)
            if flags & ~3:
                raise Violation("an unknown flag")
            return State(recv_next, send_next, window, Flags(flags))
        case 2, 2:
            return plaintext[1]
    raise Violation("an unknown CTRL item, or one of another form")


def decode_data(plaintext: bytes) -> tuple[Item, bytes]:
    """The item and its body, of which the form is checked, but for what is in MANY."""
    if plaintext[0] not in set(Item):
        raise Violation("an unknown DATA item")
    item, body = Item(plaintext[0]), plaintext[1:]
    if item == Item.PART and not body or item in (Item.FIN, Item.KEY_UPDATE) and body:
        raise Violation(f"{item.name} of another form")
    return item, body


def pack(packets: Iterable[bytes]) -> bytes:
    """The body of MANY."""
    return b"".join(leb128(len(packet)) + packet for packet in packets)


def unpack(body: bytes) -> list[bytes]:
    """The packets of MANY."""
    packets: list[bytes] = []
    at = 0
    while at < len(body) or not packets:
        length = shift = 0
        while True:
            if shift == 28 or at == len(body):
                raise Violation("MANY with a broken length")
            byte, at = body[at], at + 1
            length |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        if byte == 0 and shift > 7 or length > len(body) - at:
            raise Violation("MANY with a broken length")
        packets.append(body[at : at + length])
        at += length
    return packets


class Chain:
    """The keys of one kind of record in one direction."""

    def __init__(self, kind: int, secret: bytes) -> None:
        self.kind = kind
        self._adopt(secret)

    def _adopt(self, secret: bytes) -> None:
        self.secret = secret
        made = derive("record key and iv", secret, 44)
        self.key, self.iv = made[:32], made[32:]
        self._cipher = ChaCha20Poly1305(self.key)

    def ratchet(self) -> None:
        """On to the next generation."""
        self._adopt(derive("record ratchet", self.secret))

    def _nonce(self, seq: int) -> bytes:
        return (int.from_bytes(self.iv) ^ seq).to_bytes(12)

    def seal(self, seq: int, plaintext: bytes) -> bytes:
        header = struct.pack(">BQ", self.kind, seq)
        return header + self._cipher.encrypt(self._nonce(seq), plaintext, header)

    def open(self, record: bytes) -> bytes | None:
        """The plaintext, or nothing if the tag is wrong."""
        try:
            return self._cipher.decrypt(self._nonce(seq_of(record)), record[HEADER:], record[:HEADER])
        except InvalidTag:
            return None


def seq_of(record: bytes) -> int:
    return int.from_bytes(record[1:HEADER])


def is_well_formed(record: bytes) -> bool:
    return OVERHEAD < len(record) <= OVERHEAD + PLAINTEXT_MAX and seq_of(record) < SEQ_END
