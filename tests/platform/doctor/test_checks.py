import socket
from pathlib import Path

import pytest

from treadle.platform.doctor.checks import examine
from treadle.platform.doctor.finding import Finding, State
from treadle.platform.embedded.sockets import free_port
from treadle.platform.settings import Settings


def findings(settings: Settings) -> dict[str, Finding]:
    return {finding.part: finding for finding in examine(settings)}


def test_a_new_machine_is_well(tmp_path: Path) -> None:
    found = findings(Settings(home=tmp_path / "home", port=free_port()))
    assert {part for part, one in found.items() if one.state is State.WRONG} == set()
    assert not (tmp_path / "home").exists()


def test_a_home_below_a_file_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="ascii")
    found = findings(Settings(home=tmp_path / "file" / "home", port=free_port()))
    assert found["home"].state is State.WRONG
    assert "TREADLE_HOME" in str(found["home"].mend)


def test_an_open_key_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "admin.key").write_text("trd_x", encoding="ascii")
    (tmp_path / "admin.key").chmod(0o644)
    assert findings(Settings(home=tmp_path, port=free_port()))["admin key"].state is State.WRONG


def test_a_taken_port_is_wrong(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        found = findings(Settings(home=tmp_path, port=server.getsockname()[1]))
    assert found["port"].state is State.WRONG
    assert "TREADLE_PORT" in str(found["port"].mend)


def test_services_that_do_not_answer_are_wrong(tmp_path: Path) -> None:
    port = free_port()
    found = findings(
        Settings(
            home=tmp_path,
            port=free_port(),
            database_url=f"postgresql://u@127.0.0.1:{port}/x",
            redis_url=f"redis://127.0.0.1:{port}",
            model_url=f"http://127.0.0.1:{port}/v1",
        )
    )
    for part, setting in (
        ("database", "TREADLE_DATABASE_URL"),
        ("broker", "TREADLE_REDIS_URL"),
        ("model", "TREADLE_MODEL_URL"),
    ):
        assert found[part].state is State.WRONG, part
        assert setting in str(found[part].mend)


@pytest.mark.slow
def test_a_database_without_tables_says_which_it_lacks(
    empty_database_url: str, tmp_path: Path
) -> None:
    settings = Settings(home=tmp_path, port=free_port(), database_url=empty_database_url)
    assert "lacks the migrations" in findings(settings)["database"].message


def test_no_model_is_a_warning_that_says_how_to_name_one(tmp_path: Path) -> None:
    found = findings(Settings(home=tmp_path, port=free_port()))["model"]
    assert found.state is State.WARNING
    assert "TREADLE_MODEL_URL" in str(found.mend)
