"""The client as a program, led by lines of JSON.

    python -m second URL [--generation-records N]

    {"do": "connect", "peer": ID} | {"do": "withdraw", "peer": ID} | {"do": "accept" | "cancel", "request": N}
    {"do": "key", "text": TEXT} | {"do": "send", "channel": N, "value": {...}} | {"do": "finish" | "abort", "channel": N}
    {"do": "cut"} | {"do": "stop"}

Packets are of the one schema below; on both ways they are JSON here.
"""

import argparse
import asyncio
from typing import Any

from . import schema
from .bits import Malformed
from .client import Client
from .lines import commands, say
from .schema import Body, Enum, Framed, List, Map, Optional, Packet, Struct
from .sending import Limits

LETTER = Packet(
    7,
    Body(
        Struct({
            "number": schema.varint(32),
            "text": schema.STRING,
            "blob": schema.BYTES,
            "sum": schema.signed_varint(64),
            "level": schema.unsigned(3),
            "flag": schema.BOOLEAN,
            "scores": List(schema.signed_varint(16)),
            "counts": Map(schema.STRING, schema.varint(64)),
            "shape": Enum({
                "Point": (0, Struct({})),
                "Circle": (20, Struct({"radius": schema.FLOAT_64})),
            }),
            "place": Framed(Body(Struct({"x": schema.signed_varint(32)}), {"y": (schema.signed_varint(32), 0)})),
        }),
        {"note": (Optional(schema.STRING), None)},
    ),
)  # fmt: skip


class Program:
    def __init__(self, url: str, limits: Limits) -> None:
        self.client = Client(url, limits, self.tell)

    def tell(self, event: str, **details: Any) -> None:
        if event == "Packet":
            try:
                details["packet"] = to_json(LETTER.decode(details["packet"]))
            except Malformed as error:
                details = {"channel": details["channel"], "malformed": str(error)}
        say(event=event, **details)

    def do(self, command: dict[str, Any]) -> None:
        match command:
            case {"do": "connect", "peer": peer}:
                self.client.connect(peer)
            case {"do": "withdraw", "peer": peer}:
                self.client.withdraw(peer)
            case {"do": "accept", "request": request}:
                self.client.accept(request)
            case {"do": "cancel", "request": request}:
                self.client.cancel(request)
            case {"do": "key", "text": text}:
                self.client.set_key(text)
            case {"do": "send", "channel": channel, "value": value}:
                self.client.send(channel, LETTER.encode(value | {"blob": bytes.fromhex(value["blob"])}))
            case {"do": "finish", "channel": channel}:
                self.client.finish(channel)
            case {"do": "abort", "channel": channel}:
                self.client.abort(channel)
            case {"do": "cut"}:
                self.client.cut()
            case {"do": "stop"}:
                self.client.stop()
            case _:
                raise ValueError(f"no such command: {command}")


def to_json(value: dict[str, Any]) -> dict[str, Any]:
    return value | {"blob": value["blob"].hex()}


async def main() -> None:
    words = argparse.ArgumentParser(prog="second")
    words.add_argument("url")
    words.add_argument("--generation-records", type=int, default=Limits.generation_records)
    given = words.parse_args()
    program = Program(given.url, Limits(given.generation_records))

    async def obey() -> None:
        async for command in commands():
            program.do(command)
        program.client.stop()

    async with asyncio.TaskGroup() as group:
        obeying = group.create_task(obey())
        await program.client.run()
        obeying.cancel()


asyncio.run(main())
