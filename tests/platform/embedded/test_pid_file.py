import os
from pathlib import Path

from treadle.platform.embedded.pid_file import end_previous_postgres, says_ready


def test_the_number_of_another_process_is_dropped(tmp_path: Path) -> None:
    """After a crash the number may belong to anything; this test's process lives on."""
    pid_file = tmp_path / "postmaster.pid"
    pid_file.write_text(f"{os.getpid()}\n{tmp_path}\n", encoding="utf-8")
    end_previous_postgres(tmp_path)
    assert not pid_file.exists()


def test_a_torn_file_is_dropped(tmp_path: Path) -> None:
    pid_file = tmp_path / "postmaster.pid"
    pid_file.write_text("", encoding="utf-8")
    end_previous_postgres(tmp_path)
    assert not pid_file.exists()


def test_a_server_is_ready_when_it_says_so(tmp_path: Path) -> None:
    assert not says_ready(tmp_path)
    pid_file = tmp_path / "postmaster.pid"
    pid_file.write_text("1\n/data\n0\n5432\n/s\n\n1 2\nstarting\n", encoding="utf-8")
    assert not says_ready(tmp_path)
    pid_file.write_text("1\n/data\n0\n5432\n/s\n\n1 2\nready   \n", encoding="utf-8")
    assert says_ready(tmp_path)
