from pathlib import Path

from treadle.platform.embedded.home import Home
from treadle.platform.embedded.runtime import prepare_runtime


def test_port_and_key_are_remembered(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    assert prepare_runtime(home) == prepare_runtime(home)


def test_every_home_has_a_key_of_its_own(tmp_path: Path) -> None:
    one, other = (prepare_runtime(Home.at(tmp_path / name)) for name in "ab")
    assert one.key != other.key


def test_the_key_is_private_and_on_no_command_line(tmp_path: Path) -> None:
    server = prepare_runtime(Home.at(tmp_path))
    assert (tmp_path / "runtime" / "endpoint.json").stat().st_mode & 0o077 == 0
    assert not any(server.key in word for word in server.program().argv)


def test_it_is_executed_and_never_forked(tmp_path: Path) -> None:
    """The nursery forks what has an entry; torch must not be in it."""
    assert prepare_runtime(Home.at(tmp_path)).program().entry is None


async def test_it_is_not_ready_where_nothing_listens(tmp_path: Path) -> None:
    assert not await prepare_runtime(Home.at(tmp_path)).program().is_ready()
