"""Questions about this machine: Python, wheels, compiler, folder, disk, port."""

import os
import platform
import shutil
import stat
import sys
from pathlib import Path

from treadle.platform.doctor.finding import Finding, good, warning, wrong
from treadle.platform.embedded.errors import WheelMissing
from treadle.platform.embedded.home import Home
from treadle.platform.embedded.sockets import is_free
from treadle.platform.embedded.wheels import postgres_install, valkey_binary
from treadle.platform.settings import Settings
from treadle.platform.supervisor.record import read_record

OLDEST_PYTHON = (3, 11)
_COMPILERS = ("c++", "g++", "clang++")
_LITTLE_DISK = 1 << 30
_OTHERS = stat.S_IRWXG | stat.S_IRWXO


def check_python(_: Settings) -> Finding:
    """Ask whether Python is new enough."""
    found = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        oldest = ".".join(map(str, OLDEST_PYTHON))
        return wrong("python", f"{found} is too old", f"install Python {oldest} or newer")
    return good("python", found)


def check_wheels(settings: Settings) -> Finding:
    """Ask whether the embedded servers are there, unless nothing is embedded."""
    try:
        if settings.database_url is None:
            postgres_install()
        if settings.redis_url is None:
            valkey_binary()
    except WheelMissing as error:
        return wrong("wheels", str(error), "reinstall: make clean setup")
    return good("wheels", "PostgreSQL and Valkey are there, or not needed")


def check_compiler(_: Settings) -> Finding:
    """Ask whether a C++ compiler is there; the model runtime alone wants one."""
    for name in _COMPILERS:
        found = shutil.which(name)
        if found is not None:
            return good("compiler", found)
    return warning(
        "compiler",
        "no C++ compiler: an embedded model runs without its fused kernel, slower",
        "install one, such as the package g++",
    )


def check_home(settings: Settings) -> Finding:
    """Ask whether HOME can be written."""
    home = Home.at(settings.home).root
    existing = next(folder for folder in (home, *home.parents) if folder.exists())
    if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
        return wrong(
            "home",
            f"{str(home)!r} cannot be written ({str(existing)!r} refuses)",
            "set TREADLE_HOME to a folder you may write",
        )
    free = shutil.disk_usage(existing).free
    if free < _LITTLE_DISK:
        return warning(
            "home", f"{str(home)!r}: {free >> 20} MiB of disk left", "make room on that disk"
        )
    return good("home", f"{home}, {free >> 30} GiB of disk left")


def check_admin_key(settings: Settings) -> Finding:
    """Ask whether the first key is there and private."""
    path = Home.at(settings.home).admin_key
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return good("admin key", "none yet: the first `treadle up` makes it")
    except OSError as error:
        return wrong("admin key", f"{path}: {error.strerror}", _mend_owner(path))
    if mode & _OTHERS:
        return wrong("admin key", f"{path} can be read by others", f"chmod 600 {path}")
    return good("admin key", str(path))


def check_port(settings: Settings) -> Finding:
    """Ask whether the API can listen, or does."""
    record = read_record(Home.at(settings.home))
    if record is not None:
        return good("port", f"Treadle runs as process {record.pid} at {record.api_url}")
    if not is_free(settings.port, settings.host):
        return wrong(
            "port",
            f"port {settings.port} of {settings.host} is taken by another program",
            "stop that one, or set TREADLE_PORT to a free one",
        )
    return good("port", f"{settings.port} of {settings.host} is free")


def _mend_owner(path: Path) -> str:
    return f"run as the user who made it, or chown it: {path}"
