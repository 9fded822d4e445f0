"""PROTOCOL.md, Key agreement, A run, and Key schedule: from two shares to everything two clients have in common."""

import hmac
import struct
from dataclasses import dataclass
from hashlib import sha512

from blake3 import blake3
from rbcl import (
    crypto_core_ristretto255_from_hash as from_hash,
    crypto_core_ristretto255_is_valid_point as is_element,
    crypto_core_ristretto255_scalar_reduce as reduce,
    crypto_scalarmult_ristretto255_allow_scalar_zero as multiply,
)

from .derive import derive, lv_cat

CONNECTOR, ACCEPTOR = 0, 1
IDENTITY = bytes(32)


class ShareRefused(ValueError):
    """The other side's share is no element, is ours, or makes the identity."""


@dataclass(frozen=True)
class Opening:
    """The IDs and nonces with which a channel was opened, by role."""

    ids: tuple[bytes, bytes]
    nonces: tuple[bytes, bytes]

    def ci(self) -> bytes:
        return lv_cat(b"phantom/1", *self.ids)

    def sid(self, run: int) -> bytes:
        return b"".join(self.nonces) + struct.pack(">H", run)


@dataclass(frozen=True)
class Share:
    """What one side sends in a run."""

    element: bytes
    ad: bytes


def associated_data(opening: Opening, role: int, run: int, version: int, caps: int) -> bytes:
    return struct.pack(">BBH16sI", version, role, run, opening.nonces[role], caps)


def generator(prs: bytes, ci: bytes, sid: bytes) -> bytes:
    zeros = bytes(max(0, 109 - len(lv_cat(prs))))
    element: bytes = from_hash(sha512(lv_cat(b"CPaceRistretto255", prs, zeros, ci, sid)).digest())
    return element


class Scalar:
    """The secret of one side in one run."""

    def __init__(self, prs: bytes, opening: Opening, run: int, randomness: bytes) -> None:
        self._secret = reduce(randomness)
        self.element = multiply(self._secret, generator(prs, opening.ci(), opening.sid(run)))

    def product(self, element: bytes) -> bytes:
        if element == self.element or not is_element(element):
            raise ShareRefused
        product: bytes = multiply(self._secret, element)
        if product == IDENTITY:
            raise ShareRefused
        return product


class Keys:
    """What a run has made, the same on both sides."""

    def __init__(self, prs: bytes, opening: Opening, run: int, product: bytes, shares: tuple[Share, Share]) -> None:
        sid = opening.sid(run)
        told = [lv_cat(share.element, share.ad) for share in shares]
        transcript = b"oc" + max(told) + min(told)
        self.isk = sha512(lv_cat(b"CPaceRistretto255_ISK", sid, product) + transcript).digest()
        self.sid_output = sha512(b"CPaceSidOutput" + transcript).digest()
        self.root = derive("session root", lv_cat(self.isk, self.sid_output, prs))
        self.confirm = self._named("confirm connector"), self._named("confirm acceptor")
        # By the role of the sender.
        self.data = self._named("data connector to acceptor"), self._named("data acceptor to connector")
        self.ctrl = self._named("ctrl connector to acceptor"), self._named("ctrl acceptor to connector")
        self.rendezvous = self._named("rendezvous")[:16]
        self.verifier = self._named("verifier")[:16]
        self.check = blake3(lv_cat(b"phantom check", opening.ci(), sid, self.sid_output)).digest(16)
        tags = [blake3(text, key=key).digest() for key, text in zip(self.confirm, told, strict=True)]
        self.tags = tags[CONNECTOR], tags[ACCEPTOR]

    def _named(self, name: str) -> bytes:
        return derive(name, self.root)


def equal(a: bytes, b: bytes) -> bool:
    """Compares in constant time."""
    return hmac.compare_digest(a, b)
