"""`tests/vectors/packets.json`: streams, packets in their versions, and what readers refuse."""

import unittest
from struct import pack, unpack
from typing import Any

from . import schema
from .bits import BitReader, BitWriter, Malformed, text
from .schema import Body, Boxed, Enum, Framed, List, Map, Optional, Packet, Row, Set, Struct
from .vectors import load

ANSWERS = load("tests/vectors/packets.json")

MESSAGE = Packet(1, Body(Struct({"text": schema.STRING})))
FLAG = Packet(300, Body(Struct({"set": schema.BOOLEAN})))
LEVEL = Struct({"level": schema.unsigned(3)})
PLAYERS = Body(LEVEL), Body(LEVEL, {"alive": (schema.BOOLEAN, False)})
TEAMS = [
    Struct({"players": List(Framed(player)), "tags": List(schema.varint(32)), "score": schema.varint(32)})
    for player in PLAYERS
]
EVERYTHING = Packet(
    6,
    Body(
        Struct({
            "bytes": Row(schema.unsigned(8), schema.signed(8)),
            "numbers": Row(
                schema.varint(16), schema.signed_varint(16), schema.varint(32), schema.signed_varint(32),
                schema.varint(64), schema.signed_varint(64),
            ),
            "wide": Row(schema.unsigned(128), schema.signed(128)),
            "five": schema.signed(5),
            "letter": schema.CHARACTER,
            "absent": Optional(schema.unsigned(8)),
            "present": Optional(schema.unsigned(8)),
            "blob": schema.BYTES,
            "list": List(schema.varint(16)),
            "set": Set(schema.varint(16)),
            "map": Map(schema.varint(16), schema.BOOLEAN),
            "array": schema.fixed_bytes(2),
            "pair": Row(schema.varint(16), schema.varint(16)),
            "point": (shape := Enum({
                "Point": (0, Struct({})),
                "Circle": (20, Struct({"radius": schema.FLOAT_32})),
            })),
            "circle": shape,
            "unit": schema.UNIT,
            "boxed": Boxed(schema.varint(16)),
            "place": Framed(Body(Struct({"x": schema.signed_varint(32)}), {"y": (schema.signed_varint(32), 0)})),
            "player": Framed(PLAYERS[0]),
        })
    ),
)  # fmt: skip
READERS = {
    "ID 1": MESSAGE,
    "ID 4, first version": Packet(4, PLAYERS[0]),
    "ID 4, second version": Packet(4, PLAYERS[1]),
    "ID 5, first version": Packet(5, Body(TEAMS[0])),
    "ID 5, second version": Packet(5, Body(TEAMS[1], {"name": (Optional(schema.STRING), None)})),
    "ID 6": EVERYTHING,
}

MESSAGES = ["hi", "Приветик!!!"]
VALUES: list[tuple[Packet, dict[str, Any]]] = [
    *((MESSAGE, {"text": text}) for text in MESSAGES),
    (FLAG, {"set": True}),
    (READERS["ID 4, first version"], {"level": 5}),
    (READERS["ID 4, second version"], {"level": 5, "alive": True}),
    (READERS["ID 5, first version"], {"players": [{"level": 1}, {"level": 7}], "tags": [], "score": 16}),
    (
        READERS["ID 5, second version"],
        {"players": [{"level": at, "alive": True} for at in (1, 7)], "tags": [], "score": 16, "name": None},
    ),
    (
        EVERYTHING,
        {
            "bytes": [254, -2], "numbers": [300, -300, 1, -1, 1 << 40, -(1 << 63)], "wide": [1, -1], "five": -3,
            "letter": "Ж", "absent": None, "present": 7, "blob": b"\1\2\3", "list": [1, 2], "set": {1, 3},
            "map": {1: True, 2: False}, "array": b"\4\5", "pair": [6, 7], "point": ("Point", {}),
            "circle": ("Circle", {"radius": 1.5}), "unit": None, "boxed": 9, "place": {"x": -1, "y": 2},
            "player": {"level": 1},
        },
    ),
]  # fmt: skip
# What each reader makes of a packet of the other version.
OTHERS = [
    {"level": 5, "alive": False},
    {"level": 5},
    {"players": [{"level": at, "alive": False} for at in (1, 7)], "tags": [], "score": 16, "name": None},
    {"players": [{"level": 1}, {"level": 7}], "tags": [], "score": 16},
]


class Packets(unittest.TestCase):
    def test_every_packet(self) -> None:
        for row, (packet, value) in zip(ANSWERS["packets"], VALUES, strict=True):
            with self.subTest(row["type"]):
                self.assertEqual(packet.encode(value).hex(), row["packet"])
                self.assertEqual(packet.decode(bytes.fromhex(row["packet"])), value)

    def test_what_other_versions_wrote(self) -> None:
        for row, value in zip(ANSWERS["other_versions"], OTHERS, strict=True):
            with self.subTest(row["reader"]):
                self.assertEqual(READERS[row["reader"]].decode(bytes.fromhex(row["packet"])), value)

    def test_what_is_refused(self) -> None:
        for row in ANSWERS["refused_packets"]:
            with self.subTest(row["packet"]), self.assertRaises(Malformed) as refused:
                READERS[row["reader"]].decode(bytes.fromhex(row["packet"]))
            self.assertIn(str(refused.exception), row["error"])


class Streams(unittest.TestCase):
    def test_every_stream(self) -> None:
        for row in ANSWERS["streams"]:
            with self.subTest(row["fields"]):
                out = BitWriter()
                write_all(out, row["fields"])
                self.assertEqual(out.length, row["bits"])
                stream = out.finish()
                self.assertEqual(stream.hex(), row["stream"])
                source = BitReader(stream)
                self.assertEqual([read(source, field) for field in row["fields"]], row["fields"])
                source.finish()

    def test_what_is_refused(self) -> None:
        for row in ANSWERS["refused_streams"]:
            with self.subTest(row["stream"]), self.assertRaises(Malformed) as refused:
                source = BitReader(bytes.fromhex(row["stream"]))
                for field in row["read_as"]:
                    read(source, field)
                source.finish()
            self.assertEqual(str(refused.exception), row["error"])

    def test_levels_and_items(self) -> None:
        nested: schema.Type = schema.UNIT
        for _ in range(schema.NESTING_MAX):
            nested = Boxed(nested)
        nested.write(BitWriter(), None)
        with self.assertRaisesRegex(Malformed, "TooDeep"):
            Boxed(nested).write(BitWriter(), None)
        with self.assertRaisesRegex(Malformed, "TooManyItems"):
            List(schema.UNIT).write(BitWriter(), [None])
        with self.assertRaisesRegex(Malformed, "NotSorted"):
            Set(schema.varint(16)).read(BitReader(bytes.fromhex("108400")))


def write(out: BitWriter, field: list[Any]) -> None:
    match field:
        case ["bit", value]:
            out.bit(value)
        case ["unsigned", width, value]:
            out.unsigned(int(value), width)
        case ["varint", value]:
            out.varint(int(value))
        case ["signed varint", value]:
            out.signed_varint(int(value))
        case ["float32", value]:
            schema.FLOAT_32.write(out, unpack(">f", bytes.fromhex(value))[0])
        case ["float64", value]:
            schema.FLOAT_64.write(out, unpack(">d", bytes.fromhex(value))[0])
        case ["string", value]:
            schema.STRING.write(out, value)
        case ["bytes", value]:
            out.byte_string(bytes.fromhex(value))
        case ["fixed bytes", value]:
            out.fixed_bytes(bytes.fromhex(value))
        case ["fixed string", value]:
            out.fixed_bytes(value.encode())
        case ["align"]:
            out.align()
        case ["mark"]:
            out.bit(True)
        case ["frame", fields]:
            out.frame(lambda inner: write_all(inner, fields))


def write_all(out: BitWriter, fields: list[Any]) -> None:
    for field in fields:
        write(out, field)


def read(source: BitReader, like: list[Any]) -> list[Any]:
    """The next field, of the same kind and length."""
    match like:
        case ["bit", _]:
            return ["bit", source.bit()]
        case ["unsigned", width, _]:
            return ["unsigned", width, str(source.unsigned(width))]
        case ["varint", _]:
            return ["varint", str(source.varint())]
        case ["signed varint", _]:
            return ["signed varint", str(source.signed_varint())]
        case ["float32", _]:
            return ["float32", pack(">f", schema.FLOAT_32.read(source)).hex()]
        case ["float64", _]:
            return ["float64", pack(">d", schema.FLOAT_64.read(source)).hex()]
        case ["string", _]:
            return ["string", schema.STRING.read(source)]
        case ["bytes", _]:
            return ["bytes", source.byte_string().hex()]
        case ["fixed bytes", value]:
            return ["fixed bytes", source.fixed_bytes(len(value) // 2).hex()]
        case ["fixed string", value]:
            return ["fixed string", text(source.fixed_bytes(len(value.encode())))]
        case ["align"]:
            source.align()
        case ["mark"] if not source.mark():
            raise Malformed("no mark")
        case ["frame", fields]:
            return ["frame", source.frame(lambda inner: [read(inner, field) for field in fields])]
    return like
