"""How a program here is led: commands come in, events go out, each a line of JSON."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from typing import Any

LINE_MAX = 1 << 24


def say(**event: Any) -> None:
    print(json.dumps(event), flush=True)


async def commands() -> AsyncIterator[dict[str, Any]]:
    """Until the input ends."""
    lines = asyncio.StreamReader(limit=LINE_MAX)
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    async for line in lines:
        yield json.loads(line)
