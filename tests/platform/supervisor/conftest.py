import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def shared_root() -> Iterator[Path]:
    """A home that the tests of a module share."""
    yield from _folder()


@pytest.fixture
def root() -> Iterator[Path]:
    """A home for one test."""
    yield from _folder()


def _folder() -> Iterator[Path]:
    # Not below pytest's folder: for root that one is closed, and every pytest that starts closes
    # it again for the user who runs PostgreSQL then.
    folder = Path(tempfile.mkdtemp(prefix="treadle-tests-"))
    yield folder / "home"
    shutil.rmtree(folder, ignore_errors=True)
