"""Who runs PostgreSQL: it refuses root, so root hands it to a user without rights."""

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from treadle.platform.embedded.acl import grant_passage
from treadle.platform.embedded.errors import FolderClosed

USER = "pgserver"  # the name the wheel itself uses
_FALLBACK = "nobody"  # where no user can be made, as in a container without useradd


@dataclass(frozen=True, slots=True)
class Account:
    """A user of the operating system."""

    name: str
    uid: int
    gid: int

    @classmethod
    def _named(cls, name: str) -> Self:
        entry = pwd.getpwnam(name)
        return cls(name=name, uid=entry.pw_uid, gid=entry.pw_gid)

    @classmethod
    def for_postgres(cls) -> Self | None:
        """Return the user without rights when we are root, made at need; else `None`: ourselves."""
        if os.geteuid() != 0:
            return None
        try:
            return cls._named(USER)
        except KeyError:
            return cls._named(USER if _made(USER) else _FALLBACK)

    def may(self, test: str, path: Path) -> bool:
        """Tell whether this user passes `test` (as in `test -x`) on a path; asked of the kernel."""
        asked = subprocess.run(
            ["/bin/sh", "-c", f'test -{test} "$0"', str(path)],
            user=self.uid,
            group=self.gid,
            extra_groups=[],
            cwd="/",
            check=False,
        )
        return asked.returncode == 0

    def open_way_to(self, folder: Path) -> tuple[Path, ...]:
        """Let this user pass the folders on the way; returns those that were opened for it.

        Only passing is granted, to this user alone, by an access control list: nobody else gains
        anything, and the folders' contents stay unlisted.

        Raises:
            FolderClosed: One of them cannot be opened this way.
        """
        if self.may("x", folder):
            return ()
        closed = [part for part in (*reversed(folder.parents), folder) if not self._pass(part)]
        return tuple(closed)

    def _pass(self, folder: Path) -> bool:
        """Return whether the folder was open before."""
        if self.may("x", folder):
            return True
        grant_passage(folder, uid=self.uid)
        if not self.may("x", folder):
            raise FolderClosed(folder, folder, self.name)
        return False


def _made(name: str) -> bool:
    command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", name]
    try:
        return subprocess.run(command, check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False
