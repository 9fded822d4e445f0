"""`core/tests/vectors/crypto.json`: key texts, key schedules, records."""

import unittest
from typing import Any

from . import cpace
from .cpace import Keys, Opening, Scalar, Share, ShareRefused
from .key import Key, KeyRefused
from .records import CTRL, DATA, Chain, decode_ctrl, decode_data, unpack
from .vectors import load, unhex

ANSWERS = load("core/tests/vectors/crypto.json")
DIRECTIONS = {"data_c2a": DATA, "data_a2c": DATA, "ctrl_c2a": CTRL, "ctrl_a2c": CTRL}


class KeyTexts(unittest.TestCase):
    def test_every_text_reads_as_it_should(self) -> None:
        for row in ANSWERS["keys"]:
            with self.subTest(row["text"]):
                if "refused" in row:
                    with self.assertRaisesRegex(KeyRefused, row["refused"]):
                        Key.parse(row["text"])
                    continue
                key = Key.parse(row["text"])
                self.assertEqual((key.kind, key.shown(), key.prs().hex()), (row["kind"], row["shown"], row["prs"]))


class Sessions(unittest.TestCase):
    def test_every_value_of_a_run(self) -> None:
        for row in map(unhex, ANSWERS["sessions"]):
            with self.subTest(row["name"]):
                self.check(row)

    def check(self, row: dict[str, Any]) -> None:
        opening = Opening((row["id_connector"], row["id_acceptor"]), (row["nonce_connector"], row["nonce_acceptor"]))
        run, prs = row["run"], row["prs"]
        scalars = [Scalar(prs, opening, run, row[f"randomness_{role}"]) for role in ("connector", "acceptor")]
        caps = row["caps_connector"], row["caps_acceptor"]
        ads = [cpace.associated_data(opening, role, run, row["version"], caps[role]) for role in (0, 1)]
        shares = Share(scalars[0].element, ads[0]), Share(scalars[1].element, ads[1])
        products = scalars[0].product(shares[1].element), scalars[1].product(shares[0].element)
        self.assertEqual(*products)
        keys = Keys(prs, opening, run, products[0], shares)
        computed = {
            "ci": opening.ci(), "sid": opening.sid(run), "ad_connector": ads[0], "ad_acceptor": ads[1],
            "share_connector": shares[0].element, "share_acceptor": shares[1].element,
            "isk": keys.isk, "sid_output": keys.sid_output, "root": keys.root,
            "confirm_connector": keys.confirm[0], "confirm_acceptor": keys.confirm[1],
            "data_c2a": keys.data[0], "data_a2c": keys.data[1], "ctrl_c2a": keys.ctrl[0], "ctrl_a2c": keys.ctrl[1],
            "rendezvous": keys.rendezvous, "verifier": keys.verifier, "check": keys.check,
            "tag_connector": keys.tags[0], "tag_acceptor": keys.tags[1],
        }  # fmt: skip
        for name, value in computed.items():
            self.assertEqual(value.hex(), row[name].hex(), name)
        self.check_records(row)

    def check_records(self, row: dict[str, Any]) -> None:
        """Each is sealed as it stands there, opens, is something, and does not open altered."""
        chains = {}
        for each in row["generations"]:
            each = unhex(each)
            chain = Chain(DIRECTIONS[each["direction"]], row[each["direction"]])
            for _ in range(each["generation"]):
                chain.ratchet()
            chains[chain.kind, each["generation"]] = chain
            self.assertEqual((chain.secret, chain.key, chain.iv), (each["chain"], each["key"], each["iv"]))
        chains.setdefault((CTRL, 0), Chain(CTRL, row["ctrl_c2a"]))
        for each in map(unhex, row["records"]):
            record, plaintext = each["record"], each["plaintext"]
            chain = chains[record[0], each["generation"]]
            self.assertEqual(chain.seal(each["seq"], plaintext).hex(), record.hex(), each["name"])
            self.assertEqual(chain.open(record), plaintext)
            self.assertIsNone(chain.open(record[:-1] + bytes([record[-1] ^ 1])))
            (decode_ctrl if record[0] == CTRL else decode_data)(plaintext)

    def test_a_share_that_is_no_good_is_refused(self) -> None:
        row = unhex(ANSWERS["sessions"][0])
        opening = Opening((row["id_connector"], row["id_acceptor"]), (row["nonce_connector"], row["nonce_acceptor"]))
        scalar = Scalar(row["prs"], opening, row["run"], row["randomness_connector"])
        for element in (bytes(32), b"\xff" * 32, scalar.element):
            with self.assertRaises(ShareRefused):
                scalar.product(element)


class Many(unittest.TestCase):
    def test_lengths_come_in_their_shortest_form(self) -> None:
        self.assertEqual(unpack(bytes.fromhex("00026869")), [b"", b"hi"])
        for body in ("", "03", "026868ff", "8000", "8080808001"):
            with self.assertRaises(ValueError, msg=body):
                unpack(bytes.fromhex(body))
