"""Tokens that stand for one wait: of the page for people, and of a callback.

A token is the wait's id and a MAC of it, so nothing is stored, and a copy of the database makes
none. It works once because the wait is answered once, and ends with it.
"""

import base64
import hmac
from binascii import Error
from hashlib import sha256
from uuid import UUID

from treadle.platform.installation import InstallationSecret

_MAC_BYTES = 16
_LENGTH = 43  # base64 of 32 bytes, without the padding


class WaitTokens:
    """Makes and reads tokens; those of a page open no callback, and the other way round."""

    def __init__(self, secret: InstallationSecret) -> None:
        self._page = secret.derive("treadle approval pages")
        self._callback = secret.derive("treadle callbacks")

    def page(self, wait: UUID) -> str:
        """The token of `/a/{token}`."""
        return _make(self._page, wait)

    def page_url(self, wait: UUID, *, public_url: str) -> str:
        """The page's address, for whoever is told of the wait."""
        return f"{public_url.rstrip('/')}/a/{self.page(wait)}"

    def callback(self, wait: UUID) -> str:
        """The token of `/v1/callbacks/{token}`."""
        return _make(self._callback, wait)

    def read_page(self, token: str) -> UUID | None:
        """The wait that a page's token stands for."""
        return _read(self._page, token)

    def read_callback(self, token: str) -> UUID | None:
        """The wait that a callback's token stands for."""
        return _read(self._callback, token)


def _make(key: bytes, wait: UUID) -> str:
    return base64.urlsafe_b64encode(wait.bytes + _mac(key, wait)).decode().rstrip("=")


def _read(key: bytes, token: str) -> UUID | None:
    if len(token) != _LENGTH or not token.isascii():
        return None
    try:
        content = base64.b64decode(token + "=", altchars=b"-_", validate=True)
    except (Error, ValueError):
        return None
    wait = UUID(bytes=content[:16])
    # The whole token, not its MAC: the last letter has bits that decoding ignores.
    return wait if hmac.compare_digest(token, _make(key, wait)) else None


def _mac(key: bytes, wait: UUID) -> bytes:
    return hmac.digest(key, wait.bytes, sha256)[:_MAC_BYTES]
