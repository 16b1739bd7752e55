import os
import socket
from pathlib import Path

from treadle.platform.embedded.sockets import (
    LONGEST_SOCKET_PATH,
    free_port,
    is_free,
    socket_folder,
)

NAME = ".s.PGSQL.5432"


def folder_for(wanted: Path) -> Path:
    return socket_folder(wanted, name=NAME, uid=os.geteuid(), gid=os.getegid())


def test_a_short_path_is_taken_as_it_is(tmp_path: Path) -> None:
    folder = folder_for(tmp_path / "s")
    assert folder == tmp_path / "s"
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_long_path_gets_a_short_name_that_stays_the_same(tmp_path: Path) -> None:
    wanted = tmp_path / ("long" * 30)
    folder = folder_for(wanted)
    assert folder == folder_for(wanted)
    assert len(os.fsencode(folder / NAME)) <= LONGEST_SOCKET_PATH
    folder.rmdir()


def test_a_remembered_port_is_kept_while_it_is_free() -> None:
    port = free_port()
    assert free_port(port) == port
    with socket.create_server(("127.0.0.1", port)):
        assert not is_free(port)
        assert free_port(port) != port
