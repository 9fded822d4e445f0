"""PROTOCOL.md, Key agreement: the two functions on which everything that is derived rests."""

from blake3 import blake3

CONTEXT = "phantom v1 2026-11-22 "


def leb128(number: int) -> bytes:
    """In its shortest form."""
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def lv_cat(*parts: bytes) -> bytes:
    return b"".join(leb128(len(part)) + part for part in parts)


def derive(name: str, material: bytes, length: int = 32) -> bytes:
    return blake3(material, derive_key_context=CONTEXT + name).digest(length)
