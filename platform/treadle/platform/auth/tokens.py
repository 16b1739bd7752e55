"""The shape of an API key: `trd_`, 33 random characters (196 bits), 6 that check them.

The checksum lets a mistyped or invented key be refused without asking the database, and lets
scanners recognise a leaked one. Only a MAC of a key is stored: keys have too much entropy for a
slow hash to add anything, and a slow hash would let strangers burn our time.
"""

import hmac
import re
import secrets
import zlib
from hashlib import sha256
from typing import NewType

ApiKey = NewType("ApiKey", str)

PREFIX = "trd_"
_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_RANDOM = 33
_CHECK = 6
_SHAPE = re.compile(rf"{PREFIX}[0-9A-Za-z]{{{_RANDOM + _CHECK}}}")


def make_key() -> ApiKey:
    """Make a new key."""
    body = PREFIX + "".join(secrets.choice(_ALPHABET) for _ in range(_RANDOM))
    return ApiKey(body + _checksum(body))


def read_key(text: str) -> ApiKey | None:
    """Return the text as a key if its shape and checksum hold."""
    if not _SHAPE.fullmatch(text):
        return None
    body, check = text[:-_CHECK], text[-_CHECK:]
    return ApiKey(text) if hmac.compare_digest(_checksum(body), check) else None


def key_mac(pepper: bytes, key: ApiKey) -> bytes:
    """What is stored of a key and looked up."""
    return hmac.digest(pepper, key.encode(), sha256)


def _checksum(body: str) -> str:
    value, digits = zlib.crc32(body.encode()), ""
    for _ in range(_CHECK):
        value, digit = divmod(value, len(_ALPHABET))
        digits = _ALPHABET[digit] + digits
    return digits
