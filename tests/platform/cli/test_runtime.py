"""`treadle runtime` hands over to the runtime, flags and exit code included."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow
WRONG = 2


def runtime(*arguments: str) -> subprocess.CompletedProcess[str]:
    pytest.importorskip("torch")
    return subprocess.run(
        [sys.executable, "-m", "treadle.platform.cli", "runtime", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_the_runtime_tells_its_own_flags() -> None:
    assert "--cache-tokens" in runtime("serve", "--help").stdout


def test_a_plan_without_a_checkpoint_says_what_it_wants() -> None:
    done = runtime("plan", "--model", "nowhere", "--gpus", "8xH200")
    assert done.returncode == WRONG
    assert "'nowhere' cannot be read" in done.stderr
