"""`serve` on two ranks: the commands as they are typed, from their start to their end."""

import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic, sleep

import httpx
import pytest

TINY = Path(__file__).parents[2] / "model_runtime" / "training" / "tiny"
BODY = {"model": "tiny", "prompt": "Remind me to", "max_tokens": 24, "temperature": 0}


@pytest.mark.slow
def test_two_ranks_serve_as_one() -> None:
    assert answer(2) == answer(1)


@pytest.mark.slow
def test_ranks_that_torchrun_starts_serve_as_one_and_let_a_stream_end() -> None:
    port, meet = free_port(), free_port()
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    torchrun += ["--master-addr", "127.0.0.1", "--master-port", str(meet), "-m"]
    # OMP_NUM_THREADS: torchrun sets it anyhow, and says so.
    process = subprocess.Popen(
        [*torchrun, *serving(port)],
        start_new_session=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    try:
        url = f"http://127.0.0.1:{port}"
        assert ask(url, process) == answer(1)
        asked = {**BODY, "max_tokens": 400, "ignore_eos": True, "stream": True}
        with httpx.stream("POST", f"{url}/v1/completions", json=asked, timeout=60) as stream:
            lines = (line for line in stream.iter_lines() if line)
            assert next(lines).startswith("data: {")
            os.kill(process.pid, signal.SIGTERM)
            rest = list(lines)
        assert '"finish_reason":"length"' in rest[-2]
        assert rest[-1] == "data: [DONE]"
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGTERM)
        process.wait(60)
        assert not left_behind(process.pid)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def serving(port: int) -> list[str]:
    """What follows `python -m`."""
    command = ["treadle.model_runtime", "serve", "--model", str(TINY), "--port", str(port)]
    # In bfloat16 parts are rounded before they are summed, and a close choice may turn.
    return [*command, "--cache-tokens", "1024", "--dtype", "float32"]


def answer(ranks: int) -> str:
    """What a server of so many ranks answers; it ends by SIGTERM and leaves nothing behind."""
    port = free_port()
    command = [sys.executable, "-m", *serving(port), "--tensor-parallel", str(ranks)]
    process = subprocess.Popen(command, start_new_session=True)
    try:
        return ask(f"http://127.0.0.1:{port}", process)
    finally:
        os.kill(process.pid, signal.SIGTERM)
        process.wait(60)
        assert not left_behind(process.pid)


def ask(url: str, process: subprocess.Popen[bytes]) -> str:
    deadline = monotonic() + 120
    while monotonic() < deadline and process.poll() is None:
        try:
            found = httpx.post(f"{url}/v1/completions", json=BODY, timeout=60).json()
        except httpx.ConnectError:
            sleep(0.2)
            continue
        return str(found["choices"][0]["text"])
    raise AssertionError(f"no answer; the server's code is {process.poll()}")


def left_behind(leader: int) -> list[str]:
    """What of a group outlives its leader by more than a moment.

    A moment is what the tracker of Python's own multiprocessing takes to see that it is alone.
    """
    deadline = monotonic() + 10
    while (left := group(leader)) and monotonic() < deadline:
        sleep(0.05)
    return left


def group(leader: int) -> list[str]:
    """Living processes of a group, each with its command."""
    listed = subprocess.run(
        ["/bin/ps", "-eo", "pgid,stat,pid,args"], capture_output=True, text=True, check=True
    )
    rows = re.findall(r"(\d+)\s+(\S+)\s+(.+)", listed.stdout)
    return [rest for of, state, rest in rows if int(of) == leader and state[0] != "Z"]
