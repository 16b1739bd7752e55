"""Commands that talk to a running service."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.platform.supervisor.installation import Installation, wait_until

pytestmark = pytest.mark.slow

GREET = """
treadle: 1
name: greet
version: 1.0.0
inputs:
  name: {type: string}
  many: {type: array, items: {type: string}, default: []}
nodes:
  hi: {use: set, with: {text: "Hello ${{ inputs.name }}"}}
  each:
    use: map
    over: ${{ inputs.many }}
    as: one
    nodes: {up: {use: set, with: {x: "${{ one | upper }}"}}}
    output: ${{ up.x }}
outputs: {text: "${{ hi.text }}", all: "${{ each }}"}
"""
BROKEN = """
treadle: 1
name: broken
version: 1.0.0
nodes:
  hi: {use: set, with: {x: "${{ [1, 2][7] }}"}}
outputs: {x: "${{ hi.x }}"}
"""
SLOW = """
treadle: 1
name: slow
version: 1.0.0
inputs: {url: {type: string}}
nodes:
  page: {use: http.request, with: {url: "${{ inputs.url }}"}, timeout: 60s}
outputs: {status: "${{ page.status }}"}
"""


@pytest.fixture(scope="module")
def service() -> Iterator[Installation]:
    folder = Path(tempfile.mkdtemp(prefix="treadle-tests-"))
    installation = Installation(folder / "home", env={"TREADLE_EGRESS_ALLOW": "127.0.0.1/32"})
    installation.start()
    yield installation
    installation.stop()
    shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def silent_server() -> Generator[str, None, None]:
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"


@pytest.fixture
def greet(tmp_path: Path) -> str:
    path = tmp_path / "greet.yaml"
    path.write_text(GREET, encoding="utf-8")
    return str(path)


def test_a_file_is_run_and_its_outputs_are_printed(service: Installation, greet: str) -> None:
    ran = service.command("run", greet, "-i", "name=Ada", "-i", "many=a,b")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "succeeded: greet 1.0.0",
        "text: Hello Ada",
        'all: ["A", "B"]',
    ]
    assert "step.succeeded each[1].up" in ran.stderr


def test_a_pushed_template_is_run_by_name_for_programs(service: Installation, greet: str) -> None:
    pushed = service.command("push", greet)
    assert pushed.stdout == "greet 1.0.0 is published\n", pushed.stderr
    ran = service.command("run", "greet", "-i", "name=Bob", "--json")
    answer = json.loads(ran.stdout)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert answer["status"] == "succeeded"
    assert answer["outputs"] == {"text": "Hello Bob", "all": []}
    assert answer["artifacts"] == []


def test_other_text_under_the_same_version_is_refused(
    service: Installation, greet: str, tmp_path: Path
) -> None:
    service.command("push", greet)
    changed = tmp_path / "changed.yaml"
    changed.write_text(GREET.replace("Hello", "Goodbye"), encoding="utf-8")
    refused = service.command("push", str(changed))
    assert refused.returncode == 1
    assert "1.0.1" in refused.stderr


def test_a_failed_run_is_a_failed_command(service: Installation, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(BROKEN, encoding="utf-8")
    ran = service.command("run", str(path))
    assert ran.returncode == 1
    assert ran.stdout.startswith("failed: broken 1.0.0\n  hi: ")


@pytest.mark.parametrize(
    ("inputs", "code", "word"),
    [
        (["nme=x"], 1, "Did you mean `name`?"),
        (["name"], 2, "key=value"),
        ([], 1, "missing input `name` (It takes a text.)"),
    ],
)
def test_wrong_inputs_are_named(
    service: Installation, greet: str, inputs: list[str], code: int, word: str
) -> None:
    pairs = [part for one in inputs for part in ("-i", one)]
    ran = service.command("run", greet, *pairs)
    assert ran.returncode == code
    assert word in ran.stderr


def test_an_unknown_template_is_named(service: Installation) -> None:
    ran = service.command("run", "no-such-thing")
    assert ran.returncode == 1
    assert "no-such-thing" in ran.stderr


def _heed_ctrl_c() -> None:
    """As at a terminal: what a shell starts in the background ignores SIGINT, and so do its own."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_ctrl_c_leaves_the_run_and_says_how_to_follow_it(
    service: Installation, tmp_path: Path
) -> None:
    with silent_server() as url:
        path = tmp_path / "slow.yaml"
        path.write_text(SLOW, encoding="utf-8")
        process = subprocess.Popen(
            [sys.executable, "-m", "treadle.platform.cli", "run", str(path), "-i", f"url={url}"],
            env=service.environment(),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            preexec_fn=_heed_ctrl_c,
        )
        with process, service.client() as client:
            wait_until(lambda: bool(client.list_runs(template="slow").items), "the run")
            run = client.list_runs(template="slow").items[0]
            wait_until(lambda: client.get_run(run.id).status == "running", "it runs")
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
            assert process.returncode == 130
            assert f"treadle run --follow {run.id}" in said
            assert not client.get_run(run.id).has_ended
            client.cancel_run(run.id)
    followed = service.command("run", "--follow", run.id)
    assert followed.stdout.startswith("cancelled: slow")
    assert followed.returncode == 1


def test_a_template_that_nobody_published_is_said_with_the_way_out(service: Installation) -> None:
    ran = service.command("run", "nosuch")
    assert ran.returncode == 1
    assert ran.stderr.endswith("no template 'nosuch'; name a file, or `treadle push` it first\n")
