"""PROTOCOL.md, Known answers: the files, read."""

import json
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def load(path: str) -> Any:
    return json.loads((ROOT / path).read_text(encoding="utf-8"))


def unhex(texts: dict[str, Any]) -> dict[str, Any]:
    """The same with byte strings for all texts that are some."""
    return {name: _unhex(text) for name, text in texts.items()}


def _unhex(value: Any) -> Any:
    try:
        return bytes.fromhex(value)
    except (TypeError, ValueError):
        return value
