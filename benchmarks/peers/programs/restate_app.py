"""Restate's handlers behind hypercorn: PORT."""

import asyncio
import os
import sys
from typing import Any

import httpx
import restate
from hypercorn.asyncio import serve
from hypercorn.config import Config

MODEL_URL = os.environ["MODEL_URL"]
client = httpx.AsyncClient(timeout=60)
bench = restate.Service("Bench")


async def call(base: str) -> str:
    """A step that asks the model."""
    answer = await client.post(
        f"{MODEL_URL}{base}/chat/completions",
        json={"model": "instant", "messages": [{"role": "user", "content": "hello"}]},
    )
    text: str = answer.json()["choices"][0]["message"]["content"]
    return text


@bench.handler("noop")
async def noop(ctx: restate.Context, given: dict[str, Any]) -> int:
    """No steps at all."""
    return int(given["n"]) + 1


@bench.handler("pure_10")
async def ten(ctx: restate.Context, given: dict[str, Any]) -> int:
    """Ten steps in a row."""
    n = int(given["n"])
    for index in range(10):
        n = await ctx.run_typed(f"n{index}", lambda n=n: n + 1)
    return n


@bench.handler("llm_3")
async def llm3(ctx: restate.Context, given: dict[str, Any]) -> list[str]:
    """Three model calls in a row."""
    return [await ctx.run_typed(f"c{index}", call, base="/v1") for index in range(3)]


@bench.handler("fan_20")
async def fan20(ctx: restate.Context, given: dict[str, Any]) -> list[str]:
    """Twenty slow calls side by side."""
    steps = [ctx.run_typed(f"c{index}", call, base="/lat/100/v1") for index in range(20)]
    await restate.gather(*steps)
    return [await step for step in steps]


config = Config()
config.bind = [f"127.0.0.1:{sys.argv[1]}"]
config.h2_max_concurrent_streams = 2_147_483_647
config.keep_alive_max_requests = 2_147_483_647  # else every 1,000th request waits 0.5 s
asyncio.run(serve(restate.app(services=[bench]), config))
