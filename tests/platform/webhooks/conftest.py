"""The app on a database of its own, a receiver, and a courier that is called by hand."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import pytest
from tests.platform.runs.conftest import database, settings, worker

from treadle.integrations.egress import Policy, build_client
from treadle.platform.approvals.tokens import WaitTokens
from treadle.platform.connections.vault import Vault
from treadle.platform.db.database import Database
from treadle.platform.installation import installation_secret
from treadle.platform.settings import Settings
from treadle.platform.webhooks.courier import Courier

__all__ = ["database", "settings", "worker"]


@dataclass
class Receiver:
    """A server outside of our walls that keeps what it gets and answers as it is told."""

    url: str = ""
    status: int = 200
    requests: list[tuple[dict[str, str], bytes]] = field(
        default_factory=list[tuple[dict[str, str], bytes]]
    )

    def types(self) -> list[str]:
        return [self.body(number)["type"] for number in range(len(self.requests))]

    def body(self, number: int = 0) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.requests[number][1])
        return found

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = (line.partition(":") for line in head.split("\r\n"))
        headers = {name.lower(): value.strip() for name, _, value in lines}
        body = await reader.readexactly(int(headers["content-length"]))
        self.requests.append((headers, body))
        writer.write(f"HTTP/1.1 {self.status} X\r\nContent-Length: 0\r\n".encode())
        writer.write(b"Connection: close\r\n\r\n")
        await writer.drain()
        writer.close()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    server = await asyncio.start_server(receiver.answer, "127.0.0.1", 0)
    receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/events"
    yield receiver
    server.close()


@pytest.fixture
async def courier(settings: Settings, database: Database) -> AsyncIterator[Courier]:
    guard = build_client(Policy.parse(settings.egress_allow))
    secret = installation_secret(settings)
    page_url = partial(WaitTokens(secret).page_url, public_url="http://treadle.test/")
    yield Courier(database, Vault(secret), guard, page_url=page_url)
    await guard.aclose()
