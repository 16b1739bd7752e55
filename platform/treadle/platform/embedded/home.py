"""Where everything lies under TREADLE_HOME."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class Home:
    """The folder of one installation, as an absolute path."""

    root: Path

    @classmethod
    def at(cls, path: Path) -> Self:
        """Resolve the setting; the folder need not exist."""
        return cls(path.expanduser().resolve())

    def prepare(self) -> None:
        """Make the folder; those below are made by who uses them.

        Raises:
            OSError: It cannot be made or written.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        self.run.mkdir(mode=0o700, exist_ok=True)

    @property
    def postgres(self) -> Path:
        """PostgreSQL's data; a folder below per major version."""
        return self.root / "postgres"

    @property
    def valkey(self) -> Path:
        """Valkey's configuration and working folder."""
        return self.root / "valkey"

    @property
    def runtime(self) -> Path:
        """The embedded model's port and key."""
        return self.root / "runtime"

    @property
    def run(self) -> Path:
        """The lock and the addresses of what runs now; worthless once nothing runs."""
        return self.root / "run"

    @property
    def admin_key(self) -> Path:
        """The first workspace's admin API key."""
        return self.root / "admin.key"
