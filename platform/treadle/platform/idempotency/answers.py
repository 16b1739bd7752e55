"""Answers as they are stored: encrypted, and bound to the key they belong to."""

import os

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from treadle.platform.db.ids import WorkspaceId
from treadle.platform.installation import InstallationSecret

_NONCE = 12  # bytes; random for each answer


class AnswerSeal:
    """Seals and opens bodies of answers; moved to another key they do not open."""

    def __init__(self, secret: InstallationSecret) -> None:
        self._cipher = AESGCM(secret.derive("treadle idempotent answers"))

    def seal(self, body: bytes, workspace: WorkspaceId, key: str) -> bytes:
        """Encrypt a body."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, body, _bound(workspace, key))

    def open(self, sealed: bytes, workspace: WorkspaceId, key: str) -> bytes:
        """Decrypt a body."""
        nonce, rest = sealed[:_NONCE], sealed[_NONCE:]
        return self._cipher.decrypt(nonce, rest, _bound(workspace, key))


def _bound(workspace: WorkspaceId, key: str) -> bytes:
    return f"{workspace}|{key}".encode()
