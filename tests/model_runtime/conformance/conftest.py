"""A server on a real port, for clients that others wrote."""

import threading
import time
from collections.abc import Iterator
from importlib.util import find_spec

import httpx
import pytest
import uvicorn
from tests.model_runtime.server.conftest import random_checkpoint

from treadle.model_runtime.engine import Engine, EngineOptions
from treadle.model_runtime.server.app import ServerOptions, create_app
from treadle.model_runtime.server.embeddings import load_embedder
from treadle.model_runtime.server.generation import Served
from treadle.model_runtime.service import EngineService

# `make conformance` installs litellm, which brings 240 MB; `make test` goes without.
collect_ignore = [] if find_spec("litellm") else ["test_litellm.py"]
KEY = "a key of the tests"
MODEL = "random"
START_S = 20.0


@pytest.fixture(scope="module")
def base_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Base URL of a running server; it answers nonsense, always the same."""
    checkpoint = random_checkpoint()
    limits = EngineOptions(blocks=128, block_size=16, step_tokens=64)
    engine = Engine(checkpoint.model, limits, tokenizer=checkpoint.tokenizer)
    state = tmp_path_factory.mktemp("state")
    options = ServerOptions(keys=[KEY], embedder=load_embedder(None), state=state)
    app = create_app(Served(checkpoint, EngineService(engine)), options)
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + START_S
    while not server.started:
        assert time.monotonic() < until, "the server did not start"
        time.sleep(0.02)
    port: int = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}/v1"
    server.should_exit = True
    thread.join(START_S)


def wait_until_idle(base_url: str) -> None:
    """Until no request is left in the engine."""
    until = time.monotonic() + 60
    while httpx.get(base_url.replace("/v1", "/healthz")).json()["running"]:
        assert time.monotonic() < until, "it still runs"
        time.sleep(0.01)
