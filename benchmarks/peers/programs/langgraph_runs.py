"""Measures LangGraph in its own process: SECONDS MODEL_URL [DATABASE_URL].

One line of JSON per measurement. With a database every run is a thread of its own in the
PostgreSQL saver, and each superstep is written before the next begins.
"""

import asyncio
import json
import operator
import sys
import time
import uuid
from collections.abc import Callable
from typing import Annotated, Any, TypedDict

import httpx
from langgraph.graph import END, START, StateGraph

CONNECTIONS = (1, 32)


class State(TypedDict):
    """A number that grows."""

    n: int
    seen: Annotated[list[str], operator.add]


def add_one(state: State) -> dict[str, Any]:
    """A node that does next to nothing."""
    return {"n": state["n"] + 1}


def calling(client: httpx.AsyncClient, url: str) -> Callable[[State], Any]:
    """A node that asks the model."""

    async def call(state: State) -> dict[str, Any]:
        answer = await client.post(
            f"{url}/v1/chat/completions",
            json={"model": "instant", "messages": [{"role": "user", "content": "hello"}]},
        )
        return {"seen": [answer.json()["choices"][0]["message"]["content"]]}

    return call


def chain(count: int, node: Callable[[State], Any], saver: Any) -> Any:
    """Nodes in a row."""
    graph = StateGraph(State)
    names = [f"n{index}" for index in range(count)]
    for name in names:
        graph.add_node(name, node)
    for first, second in zip([START, *names], [*names, END], strict=True):
        graph.add_edge(first, second)
    return graph.compile(checkpointer=saver)


async def measure(
    name: str, graph: Any, connections: int, seconds: float, *, durable: bool
) -> None:
    """Run one after the other on so many tasks."""
    times: list[float] = []

    async def work(until: float) -> None:
        while (began := time.perf_counter()) < until:
            if durable:
                config = {"configurable": {"thread_id": str(uuid.uuid4())}}
                await graph.ainvoke({"n": 0, "seen": []}, config, durability="sync")
            else:
                await graph.ainvoke({"n": 0, "seen": []})
            times.append(time.perf_counter() - began)

    await asyncio.gather(*(work(time.perf_counter() + 1) for _ in range(connections)))
    times.clear()
    cpu, began = time.process_time(), time.perf_counter()
    await asyncio.gather(*(work(began + seconds) for _ in range(connections)))
    wall, used = time.perf_counter() - began, time.process_time() - cpu
    times.sort()
    said = {
        "stack": "langgraph", "workload": name, "connections": connections,
        "runs_per_s": len(times) / wall, "p50_ms": times[len(times) // 2] * 1000,
        "p95_ms": times[int(len(times) * 0.95)] * 1000,
        "p99_ms": times[int(len(times) * 0.99)] * 1000, "cpu_ms": used * 1000 / len(times),
    }  # fmt: skip
    print(json.dumps(said), flush=True)


async def measure_all(seconds: float, model_url: str, saver: Any) -> None:
    """No-op, ten and fifty nodes, three model calls."""
    async with httpx.AsyncClient() as client:
        call = calling(client, model_url)
        workloads = {
            "noop": chain(1, add_one, saver),
            "pure-10": chain(10, add_one, saver),
            "llm-3": chain(3, call, saver),
        }
        for name, graph in workloads.items():
            for connections in CONNECTIONS:
                await measure(name, graph, connections, seconds, durable=saver is not None)


async def main() -> None:
    """With or without the saver."""
    seconds, model_url = float(sys.argv[1]), sys.argv[2]
    if len(sys.argv) < 4:
        await measure_all(seconds, model_url, None)
        return
    from langgraph.checkpoint.postgres.aio import AsyncPostgresSaver  # noqa: PLC0415 - the saver's alone
    from psycopg.rows import dict_row  # noqa: PLC0415 - the saver's alone
    from psycopg_pool import AsyncConnectionPool  # noqa: PLC0415 - the saver's alone

    options = {"autocommit": True, "prepare_threshold": 0, "row_factory": dict_row}
    async with AsyncConnectionPool(sys.argv[3], max_size=16, kwargs=options) as pool:
        saver = AsyncPostgresSaver(pool)
        await saver.setup()
        await measure_all(seconds, model_url, saver)


asyncio.run(main())
