"""`tests/vectors/session.json`: tokens, keys, handshake and records of one session, made anew from its inputs."""

import struct
import unittest
from typing import Any

from . import cpace
from .agreement import CONFIRM, CONFIRM_FORM, SHARE, SHARE_FORM
from .cpace import Keys, Opening, Scalar, Share
from .frames import Kind, Token, decode, encode, forward, token_key
from .key import Key
from .records import CTRL, DATA, Chain, seq_of
from .vectors import load, unhex

ANSWERS = load("tests/vectors/session.json")
INPUTS, KEYS = unhex(ANSWERS["inputs"]), unhex(ANSWERS["keys"])
ROLES = ("connector", "acceptor")
CHANNELS = 1


def frames(name: str, sender: str, receiver: str) -> list[bytes]:
    """The frames of this name, or FORWARDs of this payload, on this way."""
    return [
        bytes.fromhex(row["frame"])
        for row in ANSWERS["messages"]
        if name in (row["name"], row.get("payload")) and (row["from"], row["to"]) == (sender, receiver)
    ]


def told(name: str, receiver: str, nth: int = 0) -> dict[str, Any]:
    """The fields of a frame of the relay."""
    return decode(frames(name, "relay", receiver)[nth])[1]


def token(receiver: str, nth: int = 0) -> Token:
    welcome = told("WELCOME", receiver, nth)
    return Token(welcome["id"], welcome["kid"], welcome["owner"], welcome["expiry"], welcome["token_key"])


class Session(unittest.TestCase):
    def setUp(self) -> None:
        ids = token("connector").id, token("acceptor").id
        nonces = told("INCOMING", "acceptor")["nonce"], told("OPENED", "connector")["nonce"]
        opening = Opening(ids, nonces)
        prs = Key.parse(ANSWERS["inputs"]["key"]).prs()
        scalars = [Scalar(prs, opening, 1, INPUTS[f"randomness_{role}"]) for role in ROLES]
        ads = [cpace.associated_data(opening, role, 1, 1, 20) for role in (0, 1)]
        self.shares = Share(scalars[0].element, ads[0]), Share(scalars[1].element, ads[1])
        self.keys = Keys(prs, opening, 1, scalars[0].product(scalars[1].element), self.shares)

    def test_the_keys(self) -> None:
        keys = self.keys
        computed = {
            "share_connector": self.shares[0].element, "share_acceptor": self.shares[1].element, "isk": keys.isk,
            "sid_output": keys.sid_output, "root": keys.root, "check": keys.check, "rendezvous": keys.rendezvous,
            "verifier": keys.verifier,
        }  # fmt: skip
        self.assertEqual(computed, {name: KEYS[name] for name in computed})
        for kind, name, secret in ((DATA, "data_c2a", keys.data[0]), (DATA, "data_a2c", keys.data[1]),
                                   (CTRL, "ctrl_c2a", keys.ctrl[0]), (CTRL, "ctrl_a2c", keys.ctrl[1])):  # fmt: skip
            chain = Chain(kind, secret)
            self.assertEqual({"chain": chain.secret, "key": chain.key, "iv": chain.iv}, unhex(KEYS[name]))

    def test_the_handshake(self) -> None:
        for role, name in enumerate(ROLES):
            channel = told("OPENED", name)["channel"]
            share = struct.pack(SHARE_FORM, SHARE, 1, self.shares[role].element, self.shares[role].ad)
            confirm = struct.pack(CONFIRM_FORM, CONFIRM, 1, self.keys.check, self.keys.tags[role])
            self.assertEqual(frames("SHARE", name, "relay"), [forward(channel, share)])
            self.assertEqual(frames("CONFIRM", name, "relay"), [forward(channel, confirm)])

    def test_the_tokens_and_the_reclaim(self) -> None:
        for each in (token("connector"), token("connector", 1), token("acceptor")):
            made = token_key(INPUTS["relay_secret"], each.kid, each.id, each.owner, each.expiry)
            self.assertEqual(each.key, made)
        reclaim = token("connector").reclaim(CHANNELS, told("HELLO", "connector", 1)["challenge"])
        self.assertEqual(frames("RECLAIM", "connector", "relay"), [reclaim])

    def test_the_rejoins(self) -> None:
        for role, name in enumerate(ROLES):
            rejoin = encode(Kind.REJOIN, rendezvous=self.keys.rendezvous, role=role)
            self.assertEqual(frames("REJOIN", name, "relay"), [rejoin])

    def test_every_record(self) -> None:
        chains = {(DATA, role): Chain(DATA, self.keys.data[role]) for role in (0, 1)}
        chains |= {(CTRL, role): Chain(CTRL, self.keys.ctrl[role]) for role in (0, 1)}
        records = [row for row in ANSWERS["messages"] if "plaintext" in row and row["from"] in ROLES]
        self.assertGreater(len(records), 10)
        for row in records:
            record, plaintext = bytes.fromhex(row["frame"])[5:], bytes.fromhex(row["plaintext"])
            chain = chains[record[0], ROLES.index(row["from"])]
            self.assertEqual(chain.seal(seq_of(record), plaintext).hex(), record.hex())
            self.assertEqual(chain.open(record), plaintext)
