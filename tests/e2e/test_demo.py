"""`treadle demo` as a person starts it."""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path
from signal import SIGKILL, SIGTERM, Signals

import psutil
import pytest

pytestmark = pytest.mark.slow
DEMO = [sys.executable, "-c", "from treadle.platform.cli import main; main()", "demo"]


def demo(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {k: v for k, v in os.environ.items() if not k.startswith("TREADLE_")}
    return subprocess.run(
        [*DEMO, *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=400,
        cwd=cwd,
        env=environment,
    )


def test_it_shows_tables_writes_files_and_its_figures_hold(tmp_path: Path) -> None:
    done = demo(cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "10 figures counted again in the pages: 10 right" in done.stdout
    assert "No model helped" in done.stdout
    for site in ("bellacrema", "fernpath", "pillarbook"):
        folder = tmp_path / "demo-output" / site
        assert str(folder.relative_to(tmp_path) / "plan.md") in done.stdout
        assert (folder / "plan.md").read_text(encoding="utf-8").startswith("# Keyword plan")
        with (folder / "keywords.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert 50 <= len(rows) <= 80
        assert {"keyword", "intent", "opportunity", "evidence", "unknown"} <= set(rows[0])


def test_a_home_that_cannot_be_used_is_the_reason(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_text("x", encoding="utf-8")
    done = demo("--home", str(file), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith("treadle: the demo failed: cannot use ")


def test_a_service_that_does_not_start_is_the_reason(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    (home / "postgres").write_text("not a folder", encoding="utf-8")
    done = demo("--home", str(home), cwd=tmp_path)
    assert done.returncode == 1
    assert "treadle: the demo failed: the service did not start:" in done.stderr


@pytest.mark.parametrize("signal", [SIGTERM, SIGKILL])
def test_a_demo_that_is_ended_leaves_no_process_behind(tmp_path: Path, signal: Signals) -> None:
    home = tmp_path / "home"
    started = subprocess.Popen(
        [*DEMO, "--home", str(home)], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    for line in started.stdout:
        if "the service answers" in line:
            break
    service = psutil.Process(started.pid).children(recursive=True)
    assert len(service) > 3
    started.send_signal(signal)
    started.communicate(timeout=60)
    until = time.monotonic() + 60
    while any(process.is_running() for process in service) and time.monotonic() < until:
        time.sleep(0.1)
    assert [process for process in service if process.is_running()] == []
