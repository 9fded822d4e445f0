"""A way to a relay that alters one record, as a relay that cheats would.

    python -m second.meddler URL        {"do": "alter", "towards": "client" | "relay"}: the next DATA record that passes
"""

import asyncio
import sys
from typing import Any

from websockets.asyncio.client import connect
from websockets.asyncio.connection import Connection
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from .frames import Kind
from .lines import commands, say
from .records import DATA

PHANTOM = [Subprotocol("phantom.1")]


class Meddler:
    def __init__(self, url: str) -> None:
        self._url = url
        self._towards = ""

    async def handle(self, client: ServerConnection) -> None:
        async with connect(self._url, subprotocols=PHANTOM, compression=None, ping_interval=None) as relay:
            both = [asyncio.create_task(self._carry(client, relay, "relay")),
                    asyncio.create_task(self._carry(relay, client, "client"))]  # fmt: skip
            await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
            for task in both:
                task.cancel()

    async def _carry(self, source: Connection, target: Connection, towards: str) -> None:
        try:
            async for message in source:
                assert isinstance(message, bytes), "messages are binary"
                if towards == self._towards and message[0] == Kind.FORWARD and message[5] == DATA:
                    self._towards = ""
                    message = message[:-1] + bytes([message[-1] ^ 1])
                    say(event="Altered")
                await target.send(message)
        except ConnectionClosed:
            pass

    def do(self, command: dict[str, Any]) -> None:
        self._towards = command["towards"]
        say(event="Armed")


async def main() -> None:
    meddler = Meddler(sys.argv[1])
    server = await serve(meddler.handle, "127.0.0.1", 0, subprotocols=PHANTOM, compression=None, ping_interval=None)
    async with server:
        host, port = server.sockets[0].getsockname()
        say(event="Listening", url=f"ws://{host}:{port}")
        async for command in commands():
            meddler.do(command)


asyncio.run(main())
