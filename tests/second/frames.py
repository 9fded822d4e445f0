"""PROTOCOL.md, Frames, Answers, Close codes and Reclaiming an ID: what a client and a relay say to each other."""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from blake3 import blake3

VERSION = 1
MESSAGE_MAX = 65_566


class Kind(IntEnum):
    REGISTER = 0x01
    RECLAIM = 0x02
    CONNECT = 0x03
    ACCEPT = 0x04
    CANCEL = 0x05
    WITHDRAW = 0x06
    CLOSE = 0x07
    REJOIN = 0x08
    PING = 0x09
    FORWARD = 0x20
    HELLO = 0x81
    WELCOME = 0x82
    ANSWER = 0x83
    INCOMING = 0x84
    ENDED = 0x85
    OPENED = 0x86
    CLOSED = 0x87
    ATTACHED = 0x88
    PONG = 0x89
    DRAIN = 0x8A


class Answer(IntEnum):
    Requested = 1
    SourceAlreadyConnected = 2
    TargetAlreadyConnected = 3
    TargetNotFound = 4
    NotConnected = 5
    Declined = 6
    Approved = 7
    ConnectionDone = 8
    RequestOpen = 9
    Incoming = 10
    Withdrawn = 11
    Expired = 12
    Throttled = 13
    Refused = 14
    VersionUnsupported = 15
    Unavailable = 16
    Left = 17
    OwnId = 18


class Reason(IntEnum):
    """Why a relay says CLOSED."""

    Closed = 1
    Detached = 2
    Stuck = 3
    NotConnected = 4


class By(IntEnum):
    """How a channel came to be."""

    Approval = 0
    Acceptance = 1
    Crossing = 2


class CloseCode(IntEnum):
    Normal = 1000
    GoingAway = 1001
    Malformed = 4001
    UnknownFrame = 4002
    TooLarge = 4003
    NotBinary = 4004
    NotRegistered = 4005
    AlreadyRegistered = 4006
    VersionUnsupported = 4007
    Violation = 4008
    RegisterTimeout = 4009
    Idle = 4010
    Stalled = 4011
    Superseded = 4012
    RelayFull = 4013
    IdsExhausted = 4014
    Throttled = 4015
    Refused = 4016


# Whoever is closed so does not dial again.
FINAL = {CloseCode.Normal, CloseCode.VersionUnsupported, CloseCode.Superseded, CloseCode.Refused}


class Refused(ValueError):
    """A frame after which the connection is closed with this code."""

    def __init__(self, code: CloseCode) -> None:
        super().__init__(code.name)
        self.code = code


# The fields of each kind behind its first byte, and their form for `struct`. IDs are ASCII, other strings plain bytes.
LAYOUTS: dict[Kind, tuple[str, tuple[str, ...]]] = {
    Kind.REGISTER: (">BB", ("version", "channels")),
    Kind.RECLAIM: (">BBB6s8sQ16s", ("version", "channels", "kid", "id", "owner", "expiry", "mac")),
    Kind.CONNECT: (">I6s16s", ("request", "target", "nonce")),
    Kind.ACCEPT: (">I16s", ("request", "nonce")),
    Kind.CANCEL: (">I", ("request",)),
    Kind.WITHDRAW: (">I", ("request",)),
    Kind.CLOSE: (">I", ("channel",)),
    Kind.REJOIN: (">16sB", ("rendezvous", "role")),
    Kind.PING: (">I", ("token",)),
    Kind.HELLO: (">B16sB", ("version", "challenge", "work")),
    Kind.WELCOME: (
        ">6sB8sBQ32sBHH",
        ("id", "reclaimed", "owner", "kid", "expiry", "token_key", "channels", "idle", "request"),
    ),
    Kind.ANSWER: (">IB", ("request", "answer")),
    Kind.INCOMING: (">I6s16s", ("request", "source", "nonce")),
    Kind.ENDED: (">IB", ("request", "answer")),
    Kind.OPENED: (">BII16s", ("by", "request", "channel", "nonce")),
    Kind.CLOSED: (">IB", ("channel", "reason")),
    Kind.ATTACHED: (">16sI", ("rendezvous", "channel")),
    Kind.PONG: (">I", ("token",)),
    Kind.DRAIN: (">I", ("milliseconds",)),
}
# Fields with a range of their own, and what makes their value.
RANGES = {"answer": Answer, "reason": Reason, "by": By}
IDS = {"id", "source", "target"}
TO_CLIENT = {kind for kind in Kind if kind >= Kind.HELLO or kind == Kind.FORWARD}


def encode(kind: Kind, **fields: Any) -> bytes:
    """A frame of any kind but FORWARD."""
    form, names = LAYOUTS[kind]
    assert set(fields) == set(names), f"{kind.name} has other fields"
    return bytes([kind]) + struct.pack(form, *(fields[name] for name in names))


def forward(channel: int, payload: bytes) -> bytes:
    return struct.pack(">BI", Kind.FORWARD, channel) + payload


def decode(frame: bytes) -> tuple[Kind, dict[str, Any]]:
    """A frame from a relay, its kind and its fields."""
    if not frame:
        raise Refused(CloseCode.Malformed)
    if frame[0] not in TO_CLIENT:
        raise Refused(CloseCode.UnknownFrame)
    kind = Kind(frame[0])
    if kind == Kind.FORWARD:
        if len(frame) < 6:
            raise Refused(CloseCode.Malformed)
        if len(frame) > MESSAGE_MAX:
            raise Refused(CloseCode.TooLarge)
        return kind, {"channel": int.from_bytes(frame[1:5]), "payload": frame[5:]}
    form, names = LAYOUTS[kind]
    try:
        fields = dict(zip(names, struct.unpack(form, frame[1:]), strict=True))
        for name in RANGES.keys() & fields:
            fields[name] = RANGES[name](fields[name])
    except (struct.error, ValueError) as error:
        raise Refused(CloseCode.Malformed) from error
    if any(not fields[name].isalnum() for name in IDS & fields.keys()) or fields.get("reclaimed", 0) > 1:
        raise Refused(CloseCode.Malformed)
    return kind, fields


@dataclass(frozen=True)
class Token:
    """What proves to the relay that gave an ID that it is ours."""

    id: bytes
    kid: int
    owner: bytes
    expiry: int
    key: bytes

    def reclaim(self, channels: int, challenge: bytes) -> bytes:
        mac = blake3(b"reclaim" + challenge, key=self.key).digest(16)
        return encode(
            Kind.RECLAIM, version=VERSION, channels=channels, kid=self.kid, id=self.id, owner=self.owner,
            expiry=self.expiry, mac=mac,
        )  # fmt: skip


def token_key(secret: bytes, kid: int, id: bytes, owner: bytes, expiry: int) -> bytes:
    """What a relay makes of its secret for one ID."""
    material = b"phantom reclaim v1" + struct.pack(">B6s8sQ", kid, id, owner, expiry)
    return blake3(material, key=secret).digest()
