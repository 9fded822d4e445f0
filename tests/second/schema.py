"""PROTOCOL.md, Packets, Values and Packets and versions: what a value of each declared type is in a stream.

A type knows how to `write` a Python value and to `read` one. Structs and packets are dictionaries, enums pairs of a
variant's name and the dictionary of its fields.
"""

import struct
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Protocol

from .bits import BitReader, BitWriter, Malformed, text

NESTING_MAX = 64


class Type(Protocol):
    def write(self, out: BitWriter, value: Any, level: int = 0) -> None: ...

    def read(self, source: BitReader, level: int = 0) -> Any: ...


def deeper(level: int) -> int:
    """The level inside a list, set, map, box or frame at `level`."""
    if level == NESTING_MAX:
        raise Malformed("TooDeep")
    return level + 1


@dataclass(frozen=True)
class Plain:
    """A type without others in it: one field of a stream."""

    to: Callable[[BitWriter, Any], None]
    out_of: Callable[[BitReader], Any]

    def write(self, out: BitWriter, value: Any, level: int = 0) -> None:
        self.to(out, value)

    def read(self, source: BitReader, level: int = 0) -> Any:
        return self.out_of(source)


def unsigned(width: int) -> Plain:
    return Plain(lambda out, value: out.unsigned(value, width), lambda source: source.unsigned(width))


def signed(width: int) -> Plain:
    return Plain(lambda out, value: out.signed(value, width), lambda source: source.signed(width))


def fixed_bytes(length: int) -> Plain:
    """An array of bytes."""
    return Plain(BitWriter.fixed_bytes, lambda source: source.fixed_bytes(length))


def _within(value: int, low: int, high: int) -> int:
    if not low <= value <= high:
        raise Malformed("OutOfRange")
    return value


def varint(width: int) -> Plain:
    """An unsigned integer of a type of 16, 32 or 64 bits."""
    high = 2**width - 1
    return Plain(
        lambda out, value: out.varint(_within(value, 0, high)), lambda source: _within(source.varint(), 0, high)
    )


def signed_varint(width: int) -> Plain:
    """A signed integer of a type of 16, 32 or 64 bits."""
    high = 2 ** (width - 1) - 1
    return Plain(
        lambda out, value: out.signed_varint(_within(value, -high - 1, high)),
        lambda source: _within(source.signed_varint(), -high - 1, high),
    )


def _float(width: int, form: str) -> Plain:
    return Plain(
        lambda out, value: out.unsigned(int.from_bytes(struct.pack(form, value)), width),
        lambda source: struct.unpack(form, source.unsigned(width).to_bytes(width // 8))[0],
    )


def _scalar(value: int) -> str:
    if value > 0x10FFFF or 0xD800 <= value <= 0xDFFF:
        raise Malformed("Invalid")
    return chr(value)


BOOLEAN = Plain(BitWriter.bit, BitReader.bit)
FLOAT_32, FLOAT_64 = _float(32, ">f"), _float(64, ">d")
CHARACTER = Plain(lambda out, value: out.varint(ord(value)), lambda source: _scalar(source.varint()))
BYTES = Plain(BitWriter.byte_string, BitReader.byte_string)
STRING = Plain(lambda out, value: out.byte_string(value.encode()), lambda source: text(source.byte_string()))
UNIT = Plain(lambda out, value: None, lambda source: None)


@dataclass(frozen=True)
class Optional:
    inner: Type

    def write(self, out: BitWriter, value: Any, level: int = 0) -> None:
        out.bit(value is not None)
        if value is not None:
            self.inner.write(out, value, level)

    def read(self, source: BitReader, level: int = 0) -> Any:
        return self.inner.read(source, level) if source.bit() else None


def _write_items(out: BitWriter, items: Collection[Any], write: Callable[[Any], None]) -> None:
    out.varint(len(items))
    before = out.length
    for item in items:
        write(item)
    if len(items) > out.length - before:
        raise Malformed("TooManyItems")


def _read_items(source: BitReader, read: Callable[[], Any]) -> list[Any]:
    count = source.varint()
    if count > source.left:
        raise Malformed("TooManyItems")
    return [read() for _ in range(count)]


def _rising(keys: list[Any]) -> None:
    if any(former >= latter for former, latter in pairwise(keys)):
        raise Malformed("NotSorted")


@dataclass(frozen=True)
class List:
    item: Type

    def write(self, out: BitWriter, value: Any, level: int = 0) -> None:
        inside = deeper(level)
        _write_items(out, value, lambda item: self.item.write(out, item, inside))

    def read(self, source: BitReader, level: int = 0) -> Any:
        inside = deeper(level)
        return _read_items(source, lambda: self.item.read(source, inside))


@dataclass(frozen=True)
class Set:
    item: Type

    def write(self, out: BitWriter, value: Any, level: int = 0) -> None:
        List(self.item).write(out, sorted(value), level)

    def read(self, source: BitReader, level: int = 0) -> Any:
        items = List(self.item).read(source, level)
        _rising(items)
        return set(items)


@dataclass(frozen=True)
class Map:
    key: Type
    value: Type

    def write(self, out: BitWriter, value: Any, level: int = 0) -> None:
        List(Row(self.key, self.value)).write(out, sorted(value.items()), level)

    def read(self, source: BitReader, level: int = 0) -> Any:
        pairs = List(Row(self.key, self.value)).read(source, level)
        _rising([key for key, _ in pairs])
        return dict(pairs)


class Row:
    """An array or a tuple: values in order, without their number."""

    def __init__(self, *items: Type) -> None:
        self.items = items

    def write(self, out: BitWriter, value: Any, level: int = 0) -> None:
        for item, each in zip(self.items, value, strict=True):
            item.write(out, each, level)

    def read(self, source: BitReader, level: int = 0) -> Any:
        return [item.read(source, level) for item in self.items]


@dataclass(frozen=True)
class Boxed:
    inner: Type

    def write(self, out: BitWriter, value: Any, level: int = 0) -> None:
        self.inner.write(out, value, deeper(level))

    def read(self, source: BitReader, level: int = 0) -> Any:
        return self.inner.read(source, deeper(level))


@dataclass(frozen=True)
class Struct:
    fields: dict[str, Type]

    def write(self, out: BitWriter, value: Any, level: int = 0) -> None:
        for name, each in self.fields.items():
            each.write(out, value[name], level)

    def read(self, source: BitReader, level: int = 0) -> Any:
        return {name: each.read(source, level) for name, each in self.fields.items()}


@dataclass(frozen=True)
class Enum:
    """Each variant with its tag and its fields."""

    variants: dict[str, tuple[int, Struct]]

    def write(self, out: BitWriter, value: Any, level: int = 0) -> None:
        tag, fields = self.variants[value[0]]
        varint(32).write(out, tag)
        fields.write(out, value[1], level)

    def read(self, source: BitReader, level: int = 0) -> Any:
        read = varint(32).read(source)
        for name, (tag, fields) in self.variants.items():
            if tag == read:
                return name, fields.read(source, level)
        raise Malformed("UnknownVariant")


@dataclass(frozen=True)
class Body:
    """A value that may grow: what its first version had, then later fields, each with its default value."""

    first: Type
    later: dict[str, tuple[Type, Any]] = field(default_factory=dict)

    def write(self, out: BitWriter, value: Any, level: int = 0) -> None:
        self.first.write(out, value, level)
        for name, (each, _) in self.later.items():
            out.bit(True)
            each.write(out, value[name], level)

    def read(self, source: BitReader, level: int = 0) -> Any:
        value = self.first.read(source, level)
        present = True
        for name, (each, default) in self.later.items():
            present = present and source.mark()
            value[name] = each.read(source, level) if present else default
        if present and source.mark():
            source.skip()
        return value


@dataclass(frozen=True)
class Framed:
    """An extensible struct or enum, or a packet as a field of another value."""

    body: Body

    def write(self, out: BitWriter, value: Any, level: int = 0) -> None:
        inside = deeper(level)
        out.frame(lambda inner: self.body.write(inner, value, inside))

    def read(self, source: BitReader, level: int = 0) -> Any:
        inside = deeper(level)
        return source.frame(lambda inner: self.body.read(inner, inside))


@dataclass(frozen=True)
class Packet:
    number: int
    body: Body

    def encode(self, value: Any) -> bytes:
        out = BitWriter()
        varint(32).write(out, self.number)
        self.body.write(out, value)
        return out.finish()

    def decode(self, data: bytes) -> Any:
        source = BitReader(data)
        number = varint(32).read(source)
        if number != self.number:
            raise Malformed("Invalid" if number == 0 else "another ID")
        value = self.body.read(source)
        source.finish()
        return value
