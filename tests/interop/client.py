"""The package websockets of Python talks to a relay: `python client.py URL`, run by `run`."""

import asyncio
import os
import ssl
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

HELLO, WELCOME, ANSWER, INCOMING, OPENED, CLOSED, PONG = 0x81, 0x82, 0x83, 0x84, 0x86, 0x87, 0x89
REGISTER, CONNECT, ACCEPT, PING, FORWARD = 0x01, 0x03, 0x04, 0x09, 0x20
FRAME_MAX = 65566
PATIENCE = 10
URL = sys.argv[1]


def dial(**options):
    """A connection with the library's defaults: it offers permessage-deflate."""
    if URL.startswith("wss"):
        options["ssl"] = ssl.create_default_context(cafile=os.environ["INTEROP_CA"])
    options.setdefault("subprotocols", ["phantom.1"])
    return connect(URL, max_size=None, open_timeout=PATIENCE, close_timeout=PATIENCE, **options)


async def frame(socket, kind, length):
    message = await asyncio.wait_for(socket.recv(), PATIENCE)
    assert message[0] == kind, f"the kind is {message[0]:#x}, not {kind:#x}"
    assert len(message) == length, f"the length is {len(message)}, not {length}"
    return message


async def join(**options):
    socket = await dial(**options)
    hello = await frame(socket, HELLO, 19)
    assert hello[1] == 1
    await socket.send(bytes([REGISTER, 1, 1]))
    welcome = await frame(socket, WELCOME, 62)
    assert welcome[1:7].isalnum()
    return socket, welcome[1:7]


async def pair():
    """Two connections, and each one's number of the channel between them."""
    (a, a_id), (b, b_id) = await join(), await join()
    await a.send(bytes([CONNECT, 0, 0, 0, 1]) + b_id + bytes(16))
    assert (await frame(a, ANSWER, 6))[5] == 1
    incoming = await frame(b, INCOMING, 27)
    assert incoming[5:11] == a_id
    await b.send(bytes([ACCEPT]) + incoming[1:5] + bytes(16))
    return a, (await frame(a, OPENED, 26))[6:10], b, (await frame(b, OPENED, 26))[6:10]


def forward(channel, length):
    return bytes([FORWARD]) + channel + bytes(at & 0xFF for at in range(length - 5))


async def closed_after(message, code):
    socket, _ = await join()
    await socket.send(message)
    try:
        await frame(socket, PONG, 5)
    except ConnectionClosed as closed:
        assert closed.rcvd and closed.rcvd.code == code, f"closed with {closed.rcvd}"
        assert closed.rcvd.reason, "it does not say why"
    else:
        raise AssertionError("it is not closed")


async def joins_without_extensions():
    socket, _ = await join()
    assert "permessage-deflate" in socket.request.headers["Sec-WebSocket-Extensions"], "it was not offered"
    assert socket.subprotocol == "phantom.1"
    assert not socket.protocol.extensions
    assert "Sec-WebSocket-Extensions" not in socket.response.headers


async def refused(subprotocols):
    try:
        await dial(subprotocols=subprotocols)
    except InvalidStatus as refusal:
        assert refusal.response.status_code == 400
        assert b"phantom.1" in refusal.response.body, refusal.response.body
    else:
        raise AssertionError("it is let in")


async def other_subprotocol_is_refused_and_says_why():
    await refused(["chat"])


async def no_subprotocol_is_refused_and_says_why():
    await refused(None)


async def ping_and_pong_of_the_protocol():
    socket, _ = await join()
    await socket.send(bytes([PING, 4, 3, 2, 1]))
    assert (await frame(socket, PONG, 5))[1:] == bytes([4, 3, 2, 1])


async def ping_and_pong_of_websocket():
    socket, _ = await join()
    for payload in [b"", b"payload", bytes(125)]:
        await asyncio.wait_for(await socket.ping(payload), PATIENCE)


async def messages_of_every_length_both_ways():
    a, a_channel, b, b_channel = await pair()
    for length in [6, 125, 126, 127, 65535, 65536, FRAME_MAX]:
        for source, number, target, expected in [(a, a_channel, b, b_channel), (b, b_channel, a, a_channel)]:
            await source.send(forward(number, length))
            assert await frame(target, FORWARD, length) == forward(expected, length), f"a message of {length}"


async def fragments_arrive_whole():
    a, a_channel, b, b_channel = await pair()
    for length, size in [(300, 1), (FRAME_MAX, 1000), (FRAME_MAX, FRAME_MAX - 1)]:
        message = forward(a_channel, length)
        await a.send([message[at : at + size] for at in range(0, length, size)])
        assert await frame(b, FORWARD, length) == forward(b_channel, length)


async def text_is_closed_with_4004():
    await closed_after("text", 4004)


async def one_byte_too_many_is_closed_with_4003():
    await closed_after(bytes(FRAME_MAX + 1), 4003)


async def unknown_kind_is_closed_with_4002():
    await closed_after(b"\x7f12", 4002)


async def wrong_length_is_closed_with_4001():
    await closed_after(bytes([PING]), 4001)


async def close_is_answered_with_its_code():
    for code in [1000, 1001, 4321]:
        socket, _ = await join()
        await socket.close(code, "bye")
        assert socket.close_code == code, socket.close_code
        assert socket.protocol.close_rcvd is not None, "the relay did not close"


async def who_leaves_is_missed():
    a, _, b, _ = await pair()
    await a.close()
    assert (await frame(b, CLOSED, 6))[5] == 2


CHECKS = [
    joins_without_extensions, other_subprotocol_is_refused_and_says_why, no_subprotocol_is_refused_and_says_why,
    ping_and_pong_of_the_protocol, ping_and_pong_of_websocket, messages_of_every_length_both_ways, fragments_arrive_whole,
    text_is_closed_with_4004, one_byte_too_many_is_closed_with_4003, unknown_kind_is_closed_with_4002,
    wrong_length_is_closed_with_4001, close_is_answered_with_its_code, who_leaves_is_missed,
]  # fmt: skip


async def main():
    for check in CHECKS:
        name = check.__name__.replace("_", " ")
        try:
            await asyncio.wait_for(check(), 6 * PATIENCE)
        except Exception as error:
            print(f"not ok {name}: {type(error).__name__} {error}")
        else:
            print(f"ok {name}")


asyncio.run(main())
