"""PROTOCOL.md, The link of a client and The requests of a client: one link, dialled again for ever, and who asks whom."""

import asyncio
import itertools
import random
import secrets
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.typing import Subprotocol

from .agreement import Secret
from .channel import Channel
from .cpace import ACCEPTOR, CONNECTOR, Opening
from .frames import FINAL, MESSAGE_MAX, VERSION, Answer, By, CloseCode, Kind, Refused, Token, decode, encode
from .key import Key
from .sending import Limits

PHANTOM = Subprotocol("phantom.1")
CHANNELS = 8
PROMPTS_MAX = 16
DIAL_MAX, JOIN_MAX = 20.0, 10.0
PING_EVERY = 15.0
REDIAL_MIN, REDIAL_MAX = 0.5, 30.0
GRACE = 5.0
# How often the clock is looked at. The shortest time of the protocol is four of these.
TICK = 0.05


@dataclass
class Request:
    """An own one, which `peer` was asked with `nonce`; or one of `peer`, whose nonce that is."""

    peer: bytes
    nonce: bytes
    expires: float
    # Ours of an ACCEPT, or the wish to take an own request back.
    accepted: bytes = b""
    withdrawing: bool = False


class Client:
    """Tells its user everything by `tell(event, **details)`. All its methods are called on the loop that runs it."""

    def __init__(self, url: str, limits: Limits, tell: Callable[..., None]) -> None:
        self._url = url
        self._limits = limits
        self._tell = tell
        self._token: Token | None = None
        self._id = b""
        self._secrets: dict[bytes, Secret] = {}
        self._secret: Secret | None = None
        self._socket: ClientConnection | None = None
        self._online = False
        self._granted = 0
        self._lifetime = 0.0
        self._own: dict[int, Request] = {}
        self._shown: dict[int, Request] = {}
        self._numbers = itertools.count(1)
        self._frames: deque[bytes] = deque()
        self._channels: dict[int, Channel] = {}
        self._channel_numbers = itertools.count(1)
        self._wake = asyncio.Event()
        self._ping_every = PING_EVERY
        self._ping_at = self._heard_at = 0.0
        self._stopped = False

    # What the user does.

    def connect(self, peer: str) -> None:
        number, nonce = next(self._numbers), secrets.token_bytes(16)
        self._own[number] = Request(peer.encode(), nonce, self._expiry())
        self._send(Kind.CONNECT, request=number, target=peer.encode(), nonce=nonce)

    def withdraw(self, peer: str) -> None:
        for number, request in self._own.items():
            if request.peer == peer.encode() and not request.withdrawing:
                request.withdrawing = True
                self._send(Kind.WITHDRAW, request=number)

    def accept(self, number: int) -> None:
        nonce = self._shown[number].accepted = secrets.token_bytes(16)
        self._send(Kind.ACCEPT, request=number, nonce=nonce)

    def cancel(self, number: int) -> None:
        del self._shown[number]
        self._send(Kind.CANCEL, request=number)

    def set_key(self, text: str) -> None:
        """The key of every channel, of those that there are and of those to come."""
        key = Key.parse(text)
        self._secret = self._secrets.setdefault(key.prs(), Secret(key.prs(), key.kind == 1))
        for channel in self._channels.values():
            channel.set_key(self._secret, time.monotonic())
        self._wake.set()

    def send(self, channel: int, packet: bytes) -> int:
        self._wake.set()
        return self._channels[channel].send(packet)

    def finish(self, channel: int) -> None:
        self._channels[channel].finish()
        self._wake.set()

    def abort(self, channel: int) -> None:
        self._channels[channel].abort()
        self._wake.set()

    def cut(self) -> None:
        """Shuts the socket hard, with whatever is on its way."""
        if self._socket:
            self._socket.transport.abort()

    def stop(self) -> None:
        self._stopped = True
        self.cut()

    # The link.

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            ticking = group.create_task(self._tick_forever())
            pauses = 0
            while not self._stopped:
                code = await self._dial()
                pauses = 0 if self._online else pauses
                self._offline(code)
                if self._stopped or code in FINAL:
                    break
                await asyncio.sleep(min(REDIAL_MIN * 2**pauses, REDIAL_MAX) * random.uniform(0.75, 1))
                pauses += 1
            ticking.cancel()

    async def _dial(self) -> int | None:
        """One link from its beginning to its end; the code of its end."""
        try:
            dialled = connect(
                self._url, subprotocols=[PHANTOM], compression=None, ping_interval=None,
                max_size=MESSAGE_MAX, open_timeout=DIAL_MAX, close_timeout=1,
            )  # fmt: skip
            async with dialled as socket:
                self._socket = socket
                try:
                    await self._join(socket)
                    await self._talk(socket)
                except Refused as refused:
                    await socket.close(refused.code)
                    return refused.code if refused.code in FINAL else None
        except ConnectionClosed as closed:
            return closed.rcvd.code if closed.rcvd else None
        except (OSError, TimeoutError, InvalidHandshake):
            pass
        finally:
            self._socket = None
        return None

    async def _join(self, socket: ClientConnection) -> None:
        kind, hello = decode(await self._message(socket))
        if kind != Kind.HELLO:
            raise Refused(CloseCode.Violation)
        if hello["version"] < VERSION or hello["work"]:
            raise Refused(CloseCode.VersionUnsupported)
        if self._token:
            await socket.send(self._token.reclaim(CHANNELS, hello["challenge"]))
        else:
            await socket.send(encode(Kind.REGISTER, version=VERSION, channels=CHANNELS))
        kind, welcome = decode(await self._message(socket))
        if kind != Kind.WELCOME:
            raise Refused(CloseCode.Violation)
        self._numbers = itertools.count(1)
        self._granted = welcome["channels"]
        self._ping_every = min(PING_EVERY, welcome["idle"] / 2)
        self._lifetime = welcome["request"]
        self._online = True
        self._heard_at = now = time.monotonic()
        self._ping_at = now + self._ping_every
        self._welcomed(welcome)
        for channel in self._channels.values():
            channel.online(now)
        self._tell("Online", id=self._id.decode(), kept=bool(welcome["reclaimed"]))

    async def _talk(self, socket: ClientConnection) -> None:
        """Reads and writes until the link is lost, which raises."""
        both = [asyncio.create_task(each) for each in (self._read(socket), self._write(socket))]
        try:
            await asyncio.gather(*both)
        finally:
            for task in both:
                task.cancel()

    async def _message(self, socket: ClientConnection) -> bytes:
        return _binary(await asyncio.wait_for(socket.recv(), JOIN_MAX))

    def _welcomed(self, welcome: dict[str, Any]) -> None:
        self._id = welcome["id"]
        self._token = Token(
            welcome["id"], welcome["kid"], welcome["owner"], welcome["expiry"], welcome["token_key"]
        )  # fmt: skip

    async def _read(self, socket: ClientConnection) -> None:
        while True:
            message = _binary(await socket.recv())
            self._heard_at = time.monotonic()
            self._handle(*decode(message), self._heard_at)
            self._wake.set()

    async def _write(self, socket: ClientConnection) -> None:
        """Asks for one frame after the other: what a channel has to say is made when the socket takes it."""
        while True:
            self._wake.clear()
            while frame := self._next_frame(time.monotonic()):
                await socket.send(frame)
            await self._wake.wait()

    def _next_frame(self, now: float) -> bytes | None:
        if self._frames:
            return self._frames.popleft()
        frames = (channel.next_frame(now) for channel in self._channels.values())
        frame = next(filter(None, frames), None)
        self._channels = {number: channel for number, channel in self._channels.items() if not channel.is_over}
        return frame

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(TICK)
            now = time.monotonic()
            for channel in self._channels.values():
                channel.tick(now)
            self._expire(now)
            if self._online and now >= self._ping_at:
                if self._heard_at < self._ping_at - self._ping_every:
                    self.cut()
                self._ping_at = now + self._ping_every
                self._send(Kind.PING, token=0)
            self._wake.set()

    def _offline(self, code: int | None) -> None:
        now = time.monotonic()
        self._online = False
        self._frames.clear()
        for requests in (self._own, self._shown):
            for number in list(requests):
                self._over(requests, number, Answer.NotConnected)
        for channel in self._channels.values():
            channel.offline(now)
        self._tell("Offline", code=code)

    # The frames of a relay, while online.

    def _handle(self, kind: Kind, fields: dict[str, Any], now: float) -> None:
        match kind:
            case Kind.FORWARD:
                if channel := self._attached(fields["channel"]):
                    channel.handle(fields["payload"], now)
            case Kind.CLOSED:
                if channel := self._attached(fields["channel"]):
                    channel.detached(fields["reason"].name, now)
            case Kind.ATTACHED:
                self._handle_attached(fields["rendezvous"], fields["channel"], now)
            case Kind.ANSWER:
                self._handle_answer(fields["request"], fields["answer"])
            case Kind.ENDED:
                _refuse_what_is_ours(fields["answer"])
                self._over(self._shown, fields["request"], fields["answer"])
            case Kind.INCOMING:
                self._handle_incoming(**fields)
            case Kind.OPENED:
                self._handle_opened(**fields, now=now)
            case Kind.WELCOME if fields["id"] == self._id:
                self._welcomed(fields)
            case Kind.DRAIN:
                self._tell("RelayRestarting", milliseconds=fields["milliseconds"])
            case Kind.PONG:
                pass
            case _:
                raise Refused(CloseCode.Violation)

    def _attached(self, number: int) -> Channel | None:
        return next((channel for channel in self._channels.values() if channel.number == number), None)

    def _handle_attached(self, rendezvous: bytes, number: int, now: float) -> None:
        for channel in self._channels.values():
            if channel.number is None and not channel.ended and channel.rendezvous == rendezvous:
                return channel.attached(number, now)
        self._send(Kind.CLOSE, channel=number)

    def _handle_answer(self, number: int, answer: Answer) -> None:
        _refuse_what_is_ours(answer)
        if answer == Answer.Requested and number in self._own:
            if not self._own[number].withdrawing:
                self._tell("Answer", peer=self._own[number].peer.decode(), answer=answer.name)
        else:
            self._over(self._own, number, answer)

    def _handle_incoming(self, request: int, source: bytes, nonce: bytes) -> None:
        is_asking = any(shown.peer == source for shown in self._shown.values())
        if len(self._shown) == PROMPTS_MAX or request in self._shown or is_asking or source == self._id:
            return self._send(Kind.CANCEL, request=request)
        self._shown[request] = Request(source, nonce, self._expiry())
        self._tell("Incoming", request=request, peer=source.decode())

    def _handle_opened(self, by: By, request: int, channel: int, nonce: bytes, now: float) -> None:
        requests = self._shown if by == By.Acceptance else self._own
        asked = requests.get(request)
        if asked is None or by == By.Acceptance and not asked.accepted:
            return self._send(Kind.CLOSE, channel=channel)
        if asked.withdrawing or self._has_no_place_for(asked.peer):
            self._over(requests, request, Answer.Withdrawn if asked.withdrawing else Answer.NotConnected)
            return self._send(Kind.CLOSE, channel=channel)
        role = ACCEPTOR if by == By.Acceptance or by == By.Crossing and asked.peer < self._id else CONNECTOR
        if by == By.Crossing:
            for number in [number for number, shown in self._shown.items() if shown.peer == asked.peer]:
                self._over(self._shown, number, Answer.ConnectionDone)
        self._over(requests, request, Answer.Approved if role == CONNECTOR else Answer.ConnectionDone)
        # To whom ACCEPT said yes is the one of the INCOMING, with its nonce.
        ours = self._id, asked.accepted or asked.nonce
        theirs = asked.peer, asked.nonce if by == By.Acceptance else nonce
        ends = (ours, theirs) if role == CONNECTOR else (theirs, ours)
        self._open(asked.peer, Opening((ends[0][0], ends[1][0]), (ends[0][1], ends[1][1])), role, channel, now)

    def _open(self, peer: bytes, opening: Opening, role: int, attached: int, now: float) -> None:
        number = next(self._channel_numbers)

        def tell(event: str, **details: Any) -> None:
            self._tell(event, channel=number, **details)

        channel = self._channels[number] = Channel(peer, opening, role, attached, self._limits, tell, now)
        if self._secret:
            channel.set_key(self._secret, now)

    def _has_no_place_for(self, peer: bytes) -> bool:
        there = [channel.peer for channel in self._channels.values() if not channel.ended]
        return len(there) >= self._granted or peer in there

    # How.

    def _send(self, kind: Kind, **fields: Any) -> None:
        self._frames.append(encode(kind, **fields))
        self._wake.set()

    def _over(self, requests: dict[int, Request], number: int, answer: Answer) -> None:
        if request := requests.pop(number, None):
            self._tell("Answer", peer=request.peer.decode(), answer=answer.name)

    def _expiry(self) -> float:
        return time.monotonic() + self._lifetime + GRACE

    def _expire(self, now: float) -> None:
        for requests in (self._own, self._shown):
            for number in [number for number, request in requests.items() if now >= request.expires]:
                self._over(requests, number, Answer.Expired)


def _binary(message: str | bytes) -> bytes:
    if isinstance(message, str):
        raise Refused(CloseCode.NotBinary)
    return message


def _refuse_what_is_ours(answer: Answer) -> None:
    if answer in (Answer.Approved, Answer.ConnectionDone):
        raise Refused(CloseCode.Violation)
