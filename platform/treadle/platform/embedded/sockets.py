"""A folder for a Unix socket, and free ports."""

import hashlib
import os
import socket
import tempfile
from pathlib import Path

from treadle.platform.embedded.errors import SocketPathTooLong

LONGEST_SOCKET_PATH = 103  # bytes; macOS has 104 with the final zero, Linux 108


def socket_folder(wanted: Path, *, name: str, uid: int, gid: int) -> Path:
    """Return a folder for the socket `name` that only this user may enter.

    `wanted` where its path is short enough, else one in the folder for temporary files whose name
    follows from it.

    Raises:
        SocketPathTooLong: Neither will do.
    """
    for folder in (wanted, _short_name(wanted)):
        if len(os.fsencode(folder / name)) <= LONGEST_SOCKET_PATH and _own(folder, uid, gid):
            return folder
    raise SocketPathTooLong(wanted)


def free_port(remembered: int | None = None) -> int:
    """Return the remembered port of the loopback address if it is free, else another."""
    if remembered is not None and is_free(remembered):
        return remembered
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Tell whether a server could listen here now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


def _short_name(wanted: Path) -> Path:
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"treadle-{digest}"


def _own(folder: Path, uid: int, gid: int) -> bool:
    """Make the folder private; false if it is not ours, as anybody can make one in /tmp."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if folder.is_symlink() or found.st_uid not in {os.geteuid(), uid}:
        return False
    folder.chmod(0o700)
    if found.st_uid != uid:
        os.chown(folder, uid, gid)
    return True
