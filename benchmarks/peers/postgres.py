"""Bare PostgreSQL: commits per second on this disk, of one client and of 32 at once."""

import asyncio
import time
from collections.abc import Iterator

import psycopg
from stack.figures import Figures

from peers.registry import Options

CLIENTS = (1, 32)


def measure(options: Options) -> Iterator[Figures]:
    """Insert a row per commit."""
    with psycopg.connect(options.database_url, autocommit=True) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS bare (id bigserial PRIMARY KEY, text text)")
    try:
        for clients in CLIENTS:
            times = asyncio.run(_all(options, clients))
            yield Figures(
                stack="postgres",
                workload="commit",
                connections=clients,
                runs_per_s=len(times) / options.seconds,
                p50_ms=times[len(times) // 2] * 1000,
                p95_ms=times[int(len(times) * 0.95)] * 1000,
                p99_ms=times[int(len(times) * 0.99)] * 1000,
                commits=1.0,
            )
    finally:
        with psycopg.connect(options.database_url, autocommit=True) as connection:
            connection.execute("DROP TABLE bare")


async def _all(options: Options, clients: int) -> list[float]:
    until = time.perf_counter() + options.seconds
    found = await asyncio.gather(*(_one(options.database_url, until) for _ in range(clients)))
    return sorted(time for times in found for time in times)


async def _one(url: str, until: float) -> list[float]:
    times: list[float] = []
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        while (began := time.perf_counter()) < until:
            await connection.execute("INSERT INTO bare (text) VALUES ('x')", prepare=True)
            times.append(time.perf_counter() - began)
    return times
