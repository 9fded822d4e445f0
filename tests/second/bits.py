"""PROTOCOL.md, Packets, Streams: fields of bits, the most significant bit first."""

from collections.abc import Callable
from typing import TypeVar

Content = TypeVar("Content")
U64_MAX = 2**64 - 1


class Malformed(ValueError):
    """The stream or the packet is refused; the text is the reason, by the name that the known answers use."""


class BitWriter:
    """Grows a stream. The bits are one number, with a count beside it for the zeros in front."""

    def __init__(self) -> None:
        self._bits = 0
        self.length = 0

    def unsigned(self, value: int, width: int) -> None:
        if not 0 <= value < 1 << width:
            raise Malformed("OutOfRange")
        self._bits = self._bits << width | value
        self.length += width

    def signed(self, value: int, width: int) -> None:
        if not -(1 << width - 1) <= value < 1 << width - 1:
            raise Malformed("OutOfRange")
        self.unsigned(value % (1 << width), width)

    def bit(self, value: bool) -> None:
        self.unsigned(int(value), 1)

    def varint(self, value: int) -> None:
        if not 0 <= value <= U64_MAX:
            raise Malformed("OutOfRange")
        groups = max(1, (value.bit_length() + 3) // 4)
        for group in reversed(range(groups)):
            self.bit(group > 0)
            self.unsigned(value >> 4 * group & 0xF, 4)

    def signed_varint(self, value: int) -> None:
        self.varint(2 * value if value >= 0 else -2 * value - 1)

    def align(self) -> None:
        self.unsigned(0, -self.length % 8)

    def fixed_bytes(self, value: bytes) -> None:
        self.align()
        self.unsigned(int.from_bytes(value), 8 * len(value))

    def byte_string(self, value: bytes) -> None:
        self.varint(len(value))
        self.fixed_bytes(value)

    def frame(self, write: Callable[["BitWriter"], None]) -> None:
        inner = BitWriter()
        write(inner)
        self.byte_string(inner.finish())

    def finish(self) -> bytes:
        """The stream, its last byte filled with zeros."""
        self.align()
        return self._bits.to_bytes(self.length // 8)


class BitReader:
    """Takes a stream apart. Whatever goes beyond its end is refused."""

    def __init__(self, stream: bytes) -> None:
        self._bits = int.from_bytes(stream)
        self._length = 8 * len(stream)
        self._at = 0

    @property
    def left(self) -> int:
        return self._length - self._at

    def unsigned(self, width: int) -> int:
        if width > self.left:
            raise Malformed("End")
        self._at += width
        return self._bits >> self.left & (1 << width) - 1

    def signed(self, width: int) -> int:
        value = self.unsigned(width)
        return value - (value >> width - 1 << width)

    def bit(self) -> bool:
        return bool(self.unsigned(1))

    def varint(self) -> int:
        more, value = self.bit(), self.unsigned(4)
        if more and value == 0:
            raise Malformed("NotMinimal")
        while more:
            more, value = self.bit(), value << 4 | self.unsigned(4)
            if value > U64_MAX:
                raise Malformed("OutOfRange")
        return value

    def signed_varint(self) -> int:
        value = self.varint()
        return -(value + 1) // 2 if value & 1 else value // 2

    def align(self) -> None:
        if self.unsigned(self.left % 8):
            raise Malformed("Padding")

    def fixed_bytes(self, length: int) -> bytes:
        self.align()
        return self.unsigned(8 * length).to_bytes(length)

    def byte_string(self) -> bytes:
        return self.fixed_bytes(self.varint())

    def frame(self, read: Callable[["BitReader"], Content]) -> Content:
        """What `read` makes of a frame's content, which it must read to its end."""
        inner = BitReader(self.byte_string())
        content = read(inner)
        inner.finish()
        return content

    def mark(self) -> bool:
        """Consumes the mark of a later field, if one stands here."""
        if self.left and self._bits >> self.left - 1 & 1:
            self._at += 1
            return True
        return False

    def skip(self) -> None:
        self._at = self._length

    def finish(self) -> None:
        """Refuses anything but filling up to the end."""
        if self.left >= 8:
            raise Malformed("Trailing")
        if self.unsigned(self.left):
            raise Malformed("Padding")


def text(value: bytes) -> str:
    """UTF-8, or a refusal."""
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise Malformed("InvalidUtf8") from error
