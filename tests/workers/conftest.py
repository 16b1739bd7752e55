"""Real worker processes on a real database and broker, and the API in this process."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from tests.workers.forked import fork

from treadle.platform.app import create_app
from treadle.platform.auth.scopes import ALL_SCOPES
from treadle.platform.db.database import Database
from treadle.platform.settings import Settings
from treadle.platform.workspaces.service import create_workspace_key

SECRET = "secret of the tests"


@pytest.fixture
def settings(fresh_database_url: str, redis_url: str, tmp_path: Path) -> Settings:
    return Settings(
        home=tmp_path,
        database_url=fresh_database_url,
        redis_url=redis_url,
        secret_key=SecretStr(SECRET),
    )


@pytest.fixture
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    app = create_app(settings)
    async with app.router.lifespan_context(app):
        yield app


@pytest.fixture
async def client(app: FastAPI, settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """A caller with a key of its own workspace."""
    assert settings.database_url is not None
    database = Database(settings.database_url, pool_size=1)
    key = await create_workspace_key(database, settings, workspace="w", scopes=ALL_SCOPES)
    await database.close()
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://treadle.test",
        headers={"Authorization": f"Bearer {key}"},
        timeout=30,
    ) as client:
        yield client


@dataclass
class WorkerProcess:
    """One worker process."""

    process: ForkServerProcess
    log: Path
    role: str

    def send_signal(self, number: signal.Signals) -> None:
        assert self.process.pid is not None
        os.kill(self.process.pid, number)

    @property
    def is_alive(self) -> bool:
        return self.process.is_alive()

    def kill(self) -> None:
        self.process.kill()
        self.process.join(10)

    async def terminate(self, timeout_s: float = 90) -> int:
        """Its exit code."""
        self.send_signal(signal.SIGTERM)
        return await self.end(timeout_s)

    async def end(self, timeout_s: float) -> int:
        """Its exit code, when it ends of itself."""
        await asyncio.to_thread(self.process.join, timeout_s)
        assert self.process.exitcode is not None, f"still running after {timeout_s} s"
        return self.process.exitcode

    async def ready(self) -> None:
        async with asyncio.timeout(180):
            while f"{self.role}.started" not in self.log.read_text():
                assert self.is_alive, self.log.read_text()
                await asyncio.sleep(0.02)


StartWorker = Callable[..., WorkerProcess]


@pytest.fixture
def start_worker(settings: Settings, tmp_path: Path) -> Iterator[StartWorker]:
    """Start workers that end with the test."""
    started: list[WorkerProcess] = []

    def start(name: str = "w1", role: str = "worker", **more: str) -> WorkerProcess:
        path = tmp_path / f"{name}-{len(started)}.log"
        arguments = [role, *(["--name", name] if role == "worker" else [])]
        path.touch()
        process = fork(arguments, {**environment(settings), **more}, path)
        worker = WorkerProcess(process, path, role)
        started.append(worker)
        return worker

    yield start
    for worker in started:
        worker.kill()
        worker.process.close()


def environment(settings: Settings) -> dict[str, str]:
    return {
        "TREADLE_HOME": str(settings.home),
        "TREADLE_DATABASE_URL": settings.database_url or "",
        "TREADLE_REDIS_URL": settings.redis_url or "",
        "TREADLE_SECRET_KEY": SECRET,
        "TREADLE_EGRESS_ALLOW": "127.0.0.1/32",
    }


@dataclass
class Sink:
    """A server outside of our walls that counts what reaches it; `/slow/…` takes its time."""

    url: str
    slow_s: float = 1.5
    requests: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])
    _answering: set["asyncio.Task[None]"] = field(default_factory=set["asyncio.Task[None]"])

    def count(self, path: str) -> int:
        return sum(seen == path for seen, _ in self.requests)

    def keys(self, path: str) -> set[str | None]:
        return {key for seen, key in self.requests if seen == path}

    async def reached(self, path: str, times: int = 1) -> None:
        async with asyncio.timeout(180):
            while self.count(path) < times:  # noqa: ASYNC110 - seldom asked for
                await asyncio.sleep(0.01)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._answering.add(task)
        task.add_done_callback(self._answering.discard)

    async def close(self) -> None:
        """Drop the callers that still wait, so that no socket outlives its test."""
        answering = list(self._answering)
        for task in answering:
            task.cancel()
        await asyncio.gather(*answering, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            # A caller may be killed at any moment.
            with suppress(OSError, asyncio.IncompleteReadError):
                await self._answer(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        path = head.split(" ", 2)[1]
        lines = (line.partition(":") for line in head.split("\r\n"))
        headers = {name.lower(): value.strip() for name, _, value in lines}
        self.requests.append((path, headers.get("idempotency-key")))
        if path.startswith("/slow"):
            await asyncio.sleep(self.slow_s)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
        writer.write(b"Content-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    sink = Sink("")
    server = await asyncio.start_server(sink.accept, "127.0.0.1", 0)
    sink.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield sink
    server.close()
    await sink.close()
