"""What MTP drafts bring through the server: the tiny checkpoint, one streaming client at a time."""

import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from time import perf_counter, sleep

import httpx
from runtime_timing import undisturbed

from training.evaluate import TINY, held_out
from treadle.model_runtime.speculate import Speculation

REQUESTS = 12
TURNS = 10
TOKENS = 300
START_S = 120.0


class Served:
    """A server of its own process, and the best time in which it has answered each prompt."""

    def __init__(self, speculation: Speculation, folder: Path) -> None:
        state = folder / speculation
        state.mkdir()
        command = [sys.executable, "-m", "treadle.model_runtime", "serve", "--model", str(TINY)]
        port = free_port()
        command += ["--port", str(port), "--speculation", speculation, "--state", str(state)]
        self._log = (state / "log").open("w+", encoding="utf-8")
        self.process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)
        self._client = httpx.Client(timeout=START_S)
        self._url = f"http://127.0.0.1:{port}"
        self._tokens: dict[str, int] = {}
        self._seconds: dict[str, float] = {}

    def wait(self) -> None:
        """Until it answers; raises `RuntimeError` with its log if it ends before."""
        begun = perf_counter()
        while perf_counter() - begun < START_S and self.process.poll() is None:
            if self._healthy():
                return
            sleep(0.2)
        raise RuntimeError(Path(self._log.name).read_text("utf-8"))

    def _healthy(self) -> bool:
        try:
            return self._client.get(f"{self._url}/healthz").is_success
        except httpx.TransportError:
            return False

    @property
    def rate(self) -> float:
        """Tokens per second, as the server counts them, in the best time of each prompt."""
        return sum(self._tokens.values()) / sum(self._seconds.values())

    def answer(self, prompt: str) -> None:
        """Once more; the answer is the same each time."""
        body = {
            "model": "tiny",
            "prompt": prompt,
            "max_tokens": TOKENS,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        begun = perf_counter()
        with self._client.stream("POST", f"{self._url}/v1/completions", json=body) as answer:
            if answer.is_error:
                raise RuntimeError(answer.read().decode())
            for line in answer.iter_lines():
                if line.startswith("data: {") and (usage := json.loads(line[6:]).get("usage")):
                    self._tokens[prompt] = usage["completion_tokens"]
        seconds = perf_counter() - begun
        self._seconds[prompt] = min(self._seconds.get(prompt, seconds), seconds)

    def stop(self) -> None:
        """End the process."""
        self._client.close()
        self.process.terminate()
        self.process.wait(timeout=30)
        self._log.close()


def free_port() -> int:
    """One that nobody listened on a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def served(speculation: Speculation, folder: Path) -> Iterator[Served]:
    """A server that answers, for as long as the block lasts."""
    server = Served(speculation, folder)
    try:
        server.wait()
        yield server
    finally:
        server.stop()


def served_figures(*, real_time: bool) -> dict[str, float]:
    """Tokens per second without and with drafts; the servers take turns, prompt by prompt."""
    prompts = [example.prompt for example in islice(held_out(), REQUESTS)]
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plain, drafting = (
            stack.enter_context(served(kind, folder)) for kind in (Speculation.OFF, Speculation.MTP)
        )
        for _ in range(TURNS):
            for prompt in prompts:
                for server in (plain, drafting):
                    with undisturbed(real_time, os.getpid(), server.process.pid):
                        server.answer(prompt)
    return {
        "served_plain_tokens_per_s": plain.rate,
        "served_mtp_tokens_per_s": drafting.rate,
        "gain_through_the_server": drafting.rate / plain.rate,
    }
