"""One supervisor per HOME: a lock that the kernel drops with the process that holds it."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager

from treadle.platform.embedded.home import Home
from treadle.platform.supervisor.errors import AlreadyUp, HomeUnfit
from treadle.platform.supervisor.record import read_record, remove_record


@contextmanager
def held_home(home: Home) -> Generator[None, None, None]:
    """Hold the home for the block.

    Raises:
        AlreadyUp: Another supervisor holds it.
        HomeUnfit: It cannot be made or written.
    """
    try:
        home.prepare()
        descriptor = os.open(home.run / "up.lock", os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise HomeUnfit(home.root, error.strerror or str(error)) from error
    try:
        _lock(descriptor, home)
        yield
        remove_record(home)
    finally:
        os.close(descriptor)


def _lock(descriptor: int, home: Home) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise AlreadyUp(home.root, read_record(home)) from None
