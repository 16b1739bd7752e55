"""A disk that is full: clear refusals while it is, and everything as before when it is not."""

import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import pytest
from tests.chaos.asking import Asking, seconds_until_ready
from tests.chaos.load import Load
from tests.chaos.scenarios import prepare
from tests.chaos.world import World, world

pytestmark = pytest.mark.chaos
SIZE_MB = 256
FULL_FOR_S = 15.0
SMALL_FILE = 64 * 1024


@contextmanager
def small_disk() -> Generator[Path | None]:
    """A small file system, where this user may mount one."""
    folder = Path(tempfile.mkdtemp(prefix="treadle-chaos-disk-"))
    command = ["/usr/bin/env", "mount", "-t", "tmpfs", "-o", f"size={SIZE_MB}m,mode=755", "tmpfs"]
    mounted = subprocess.run([*command, str(folder)], capture_output=True, check=False)
    try:
        yield folder if mounted.returncode == 0 else None
    finally:
        if mounted.returncode == 0:
            subprocess.run(["/usr/bin/env", "umount", "-l", str(folder)], check=True)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def filled(around: World, disk: Path | None) -> Generator[None]:
    """No more room: to the last byte of the disk, or by a limit on every file."""
    if disk is None:
        for process in around.service.family():
            limit(process, SMALL_FILE)
        yield
        for process in around.service.family():
            limit(process, resource.RLIM_INFINITY)
        return
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file, suppress(OSError):
        for size in (1024 * 1024, 4096):
            with suppress(OSError):
                while True:
                    file.write(b"\0" * size)
    yield
    filler.unlink()


def limit(process: psutil.Process, size: int) -> None:
    with suppress(psutil.Error):
        process.rlimit(psutil.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def test_a_full_disk_refuses_clearly_and_recovers_by_itself() -> None:
    with small_disk() as disk, world(base=disk) as around:
        prepare(around)
        load = Load(around)
        load.add()
        with Asking(around) as asking:
            time.sleep(1)
            with filled(around, disk):
                time.sleep(FULL_FOR_S)
            seconds_until_ready(around)
            time.sleep(2)
        load.add()
        assert load.verdict() == []
        assert asking.faults() == []
        assert asking.statuses[202] > 0
