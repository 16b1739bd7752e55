import os
import subprocess
import sys
from pathlib import Path

import pytest

from treadle.platform.embedded.home import Home
from treadle.platform.supervisor.errors import AlreadyUp, HomeUnfit
from treadle.platform.supervisor.lock import held_home
from treadle.platform.supervisor.record import Record, read_record, write_record

RECORD = Record(
    pid=os.getpid(), api_url="http://h:1", database_url="postgresql:///x", redis_url="redis://h"
)


def test_a_home_is_held_by_one(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    with held_home(home):
        write_record(home, RECORD)
        with pytest.raises(AlreadyUp, match=rf"process {os.getpid()}, http://h:1"), held_home(home):
            pass
    assert read_record(home) is None


def test_the_record_of_a_dead_supervisor_counts_for_nothing(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    home.prepare()
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    write_record(home, Record(dead.pid, RECORD.api_url, RECORD.database_url, RECORD.redis_url))
    assert read_record(home) is None


def test_the_record_is_private(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    home.prepare()
    write_record(home, RECORD)
    assert (home.run / "up.json").stat().st_mode & 0o077 == 0
    assert read_record(home) == RECORD


def test_a_home_that_is_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("", encoding="ascii")
    with pytest.raises(HomeUnfit, match="TREADLE_HOME"), held_home(Home.at(tmp_path / "home")):
        pass
