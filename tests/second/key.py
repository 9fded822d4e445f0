"""PROTOCOL.md, The key and its text: what a person enters, and the PRS that it makes."""

from dataclasses import dataclass

from .derive import derive, lv_cat

WHITE = "\t\n\f\r "
DIGITS = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
UPPER = {digit: at for at, digit in enumerate(DIGITS)} | {"O": 0, "I": 1, "L": 1}
VALUES = UPPER | {digit.lower(): at for digit, at in UPPER.items()}
PASSPHRASE_MAX = 1024


class KeyRefused(ValueError):
    """The text is no key: Empty, TooLong or Typo."""


@dataclass(frozen=True)
class Key:
    kind: int
    secret: bytes

    @classmethod
    def parse(cls, entered: str) -> "Key":
        text = entered.strip(WHITE)
        if not text:
            raise KeyRefused("Empty")
        if len(text.encode()) > PASSPHRASE_MAX:
            raise KeyRefused("TooLong")
        digits = [character for character in text if character not in WHITE + "-"]
        if len(digits) == 28 and all(digit in VALUES for digit in digits):
            return cls(1, _generated(digits))
        return cls(0, text.encode())

    def shown(self) -> str:
        if self.kind == 0:
            return self.secret.decode()
        number = int.from_bytes(self.secret) << 12 | _check(self.secret)
        digits = "".join(DIGITS[number >> 5 * at & 31] for at in reversed(range(28)))
        return "-".join(digits[at : at + 4] for at in range(0, 28, 4))

    def prs(self) -> bytes:
        return lv_cat(b"phantom-key/1", bytes([self.kind]), self.secret)


def _check(secret: bytes) -> int:
    """The two check digits as one number of ten bits."""
    return int.from_bytes(derive("key text check", secret, 2)) >> 6


def _generated(digits: list[str]) -> bytes:
    number = 0
    for digit in digits:
        number = number << 5 | VALUES[digit]
    secret = (number >> 12).to_bytes(16)
    if number & 0xFFF != _check(secret):
        raise KeyRefused("Typo")
    return secret
