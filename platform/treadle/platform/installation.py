"""The installation's secret: one key, from which every other key of the service is derived."""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from treadle.platform.settings import Settings

SHORTEST_SECRET = 16
_FILE = "secret.key"


@dataclass(frozen=True, slots=True)
class InstallationSecret:
    """Lies outside the database: a copy of the database alone opens nothing."""

    value: bytes = field(repr=False)

    def derive(self, purpose: str) -> bytes:
        """Return 32 bytes for one purpose; those of two purposes tell nothing of each other."""
        return HKDF(algorithm=SHA256(), length=32, salt=None, info=purpose.encode()).derive(
            self.value
        )


def installation_secret(settings: Settings) -> InstallationSecret:
    """Return `SECRET_KEY`, else the key kept under HOME, made (mode 600) at the first call.

    Raises:
        ValueError: The configured key is too short to be a secret.
    """
    if settings.secret_key is not None:
        value = settings.secret_key.get_secret_value()
        if len(value) < SHORTEST_SECRET:
            raise ValueError(
                f"TREADLE_SECRET_KEY has {len(value)} characters, it needs {SHORTEST_SECRET};"
                " make one with: openssl rand -hex 32"
            )
        return InstallationSecret(value.encode())
    path = settings.home / _FILE
    if not path.exists():
        write_private(path, secrets.token_hex(32), keep=True)
    return InstallationSecret(path.read_text(encoding="ascii").strip().encode())


def write_private(path: Path, text: str, *, keep: bool = False) -> None:
    """Write a file that only its owner may read, whole or not at all.

    With `keep` a file that another process made in the meantime stays as it is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(text + "\n")
    try:
        if keep:
            path.hardlink_to(draft)
        else:
            draft.replace(path)
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
