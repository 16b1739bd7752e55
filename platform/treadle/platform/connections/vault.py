"""Secrets at rest: AES-256-GCM under a key of their own, which is wrapped by the vault's key.

The vault's key comes from the installation's secret and never lies in the database. Each secret is
bound to its place (workspace, connection, field, version): moved to another row it does not open.
"""

import os
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from treadle.platform.connections.errors import SecretUnreadable
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.installation import InstallationSecret

_NONCE = 12  # bytes; random per encryption, and each key encrypts once


@dataclass(frozen=True, slots=True)
class Place:
    """Where a secret belongs."""

    workspace: WorkspaceId
    connection: UUID
    field: str
    version: int

    @property
    def bound(self) -> bytes:
        """What a ciphertext is authenticated with."""
        return f"{self.workspace}|{self.connection}|{self.field}|{self.version}".encode()


@dataclass(frozen=True, slots=True)
class Sealed:
    """A secret as it is stored."""

    kek_id: str
    wrapped_key: bytes = field(repr=False)
    sealed: bytes = field(repr=False)


class Vault:
    """Seals and opens secrets."""

    def __init__(self, secret: InstallationSecret) -> None:
        key = secret.derive("treadle vault")
        self._wrapping = AESGCM(key)
        self._kek_id = sha256(key).hexdigest()[:12]

    def seal(self, plaintext: str, place: Place) -> Sealed:
        """Encrypt a secret for its place."""
        key = AESGCM.generate_key(bit_length=256)
        return Sealed(
            kek_id=self._kek_id,
            wrapped_key=_encrypt(self._wrapping, key, place.bound),
            sealed=_encrypt(AESGCM(key), plaintext.encode(), place.bound),
        )

    def open(self, sealed: Sealed, place: Place) -> str:
        """Decrypt a secret; raises `SecretUnreadable` if it was made elsewhere or moved."""
        if sealed.kek_id != self._kek_id:
            raise SecretUnreadable(place.connection, reason="the installation's secret changed")
        try:
            key = _decrypt(self._wrapping, sealed.wrapped_key, place.bound)
            return _decrypt(AESGCM(key), sealed.sealed, place.bound).decode()
        except InvalidTag:
            raise SecretUnreadable(place.connection, reason="it is damaged or was moved") from None


def _encrypt(cipher: AESGCM, plaintext: bytes, bound: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + cipher.encrypt(nonce, plaintext, bound)


def _decrypt(cipher: AESGCM, ciphertext: bytes, bound: bytes) -> bytes:
    return cipher.decrypt(ciphertext[:_NONCE], ciphertext[_NONCE:], bound)
