"""`tests/vectors/frames.json`: a frame of each kind, what a client refuses, and every number with its name."""

import unittest
from typing import Any

from .frames import LAYOUTS, Answer, By, CloseCode, Kind, Reason, Refused, decode, encode, forward
from .vectors import load, unhex

ANSWERS = load("tests/vectors/frames.json")
# Names that the file has for what a field is: in another unit, or spelt out.
NAMES = {"idle_s": "idle", "request_s": "request", "after_ms": "milliseconds"}
TEXTS = {"id", "source", "target"}


def fields_of(row: dict[str, Any]) -> dict[str, Any]:
    named = {NAMES.get(name, name): value for name, value in row["fields"].items()}
    return unhex(named) | {name: named[name].encode() for name in TEXTS & named.keys()}


class Frames(unittest.TestCase):
    def test_every_frame_is_made_as_it_stands_there(self) -> None:
        rows = ANSWERS["from_client"] + ANSWERS["from_relay"]
        self.assertEqual({row["name"] for row in rows}, {kind.name for kind in LAYOUTS})
        for row in rows:
            with self.subTest(row["name"]):
                self.assertEqual(encode(Kind[row["name"]], **fields_of(row)).hex(), row["frame"])

    def test_every_frame_of_a_relay_is_read(self) -> None:
        for row in ANSWERS["from_relay"]:
            with self.subTest(row["name"]):
                self.assertEqual(decode(bytes.fromhex(row["frame"])), (Kind[row["name"]], fields_of(row)))

    def test_forward_goes_both_ways(self) -> None:
        for row in ANSWERS["from_either"]:
            fields = unhex(row["fields"])
            self.assertEqual(forward(fields["channel"], fields["payload"]).hex(), row["frame"])
            self.assertEqual(decode(bytes.fromhex(row["frame"])), (Kind.FORWARD, fields))

    def test_what_a_client_refuses_has_its_code(self) -> None:
        for row in ANSWERS["refused_by_client"]:
            with self.subTest(row["frame"]), self.assertRaises(Refused) as refused:
                decode(bytes.fromhex(row["frame"]))
            self.assertEqual(refused.exception.code, row["close"])

    def test_every_number_has_its_name(self) -> None:
        all_numbers = {"answers": Answer, "close_codes": CloseCode, "closed_reasons": Reason, "opened_by": By}
        for name, numbers in all_numbers.items():
            expected = {row["name"]: row["number"] for row in ANSWERS[name]}
            self.assertEqual({each.name: each.value for each in numbers}, expected)
