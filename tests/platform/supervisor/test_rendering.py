from treadle.platform.supervisor.rendering import rendered


def test_a_log_line_becomes_its_event_and_fields() -> None:
    line = '{"event": "run.finished", "level": "info", "steps": 9, "timestamp": "x"}'
    assert rendered(line) == "run.finished steps=9"


def test_trouble_names_its_level() -> None:
    assert rendered('{"event": "disk.full", "level": "error"}') == "ERROR disk.full"


def test_other_lines_stay_as_they_are() -> None:
    for line in ("LOG: ready", '{"event": "cut', "{}", '["event"]'):
        assert rendered(line) == line
