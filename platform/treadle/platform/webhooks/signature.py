"""Signatures as Standard Webhooks has them: HMAC-SHA256 over `id.timestamp.body`."""

import base64
import binascii
import hashlib
import hmac
import secrets

PREFIX = "whsec_"
TOLERANCE_S = 300
_BYTES = 32
_VERSION = "v1"


def new_secret() -> str:
    """Make a secret."""
    return PREFIX + base64.b64encode(secrets.token_bytes(_BYTES)).decode()


def sign(secret: str, *, message: str, timestamp: int, body: bytes) -> str:
    """The value of `webhook-signature`."""
    digest = _mac(secret, message=message, timestamp=str(timestamp), body=body)
    return f"{_VERSION},{base64.b64encode(digest).decode()}"


def is_signed(secret: str, signatures: str, *, message: str, timestamp: str, body: bytes) -> bool:
    """Whether one of several signatures, divided by spaces, is right; all take the same time."""
    expected = _mac(secret, message=message, timestamp=timestamp, body=body)
    found = False
    for signature in signatures.split(" ")[:10]:
        version, _, text = signature.partition(",")
        found |= version == _VERSION and hmac.compare_digest(_decode(text), expected)
    return found


def is_recent(timestamp: str, *, now: float) -> bool:
    """Whether a message was signed lately: an old one may be a replay."""
    return (
        timestamp.isdecimal() and len(timestamp) <= 12 and abs(now - int(timestamp)) <= TOLERANCE_S
    )


def _mac(secret: str, *, message: str, timestamp: str, body: bytes) -> bytes:
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return hmac.digest(key, f"{message}.{timestamp}.".encode() + body, hashlib.sha256)


def _decode(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
