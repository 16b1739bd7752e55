from pathlib import Path

from treadle.platform.embedded.home import Home
from treadle.platform.embedded.valkey import prepare_valkey


def test_port_and_password_are_remembered(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    first, second = prepare_valkey(home), prepare_valkey(home)
    assert (first.port, first.password) == (second.port, second.password)


def test_the_password_is_nobody_elses(tmp_path: Path) -> None:
    server = prepare_valkey(Home.at(tmp_path))
    for path in (server.configuration, home_memory(tmp_path)):
        assert path.stat().st_mode & 0o077 == 0
    assert f"requirepass {server.password}" in server.configuration.read_text(encoding="utf-8")


def test_a_torn_memory_is_made_anew(tmp_path: Path) -> None:
    home = Home.at(tmp_path)
    prepare_valkey(home)
    home_memory(tmp_path).write_text('{"port": 12', encoding="utf-8")
    assert prepare_valkey(home).password


def home_memory(root: Path) -> Path:
    return root / "valkey" / "endpoint.json"
