"""Memory and time of long maps whose items give 10 kB each, to the map's end.

Each figure is from a process of its own, because a peak never falls. The ledger keeps nothing it
was given, as the engine's does not. Target: the peak grows by at most 2 kB per item from 500 to
5,000 items until the last item is done. Where the map's own output has the whole items, that list
is made after that, and is as large as it is.
"""

import asyncio
import resource
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from treadle.agents.interpreter import Gate, compile_graph
from treadle.agents.interpreter.execution import execute
from treadle.agents.language import parse_template
from treadle.agents.ports import Ports, RunFacts, StepRecord, Succeeded
from treadle.integrations.base import Effect, Params, Result, ToolContext, tool

ITEM_BYTES = 10_000
SMALL, LARGE = 500, 5_000
TARGET_KB_PER_ITEM = 2.0
TEMPLATE = """
treadle: 1
name: long-map
version: 1.0.0
inputs: {numbers: {type: array}}
nodes:
  each:
    use: map
    over: ${{ inputs.numbers }}
    nodes:
      page: {use: bench.page, with: {number: "${{ item }}"}}
      size: {use: set, with: "${{ page.text | length }}"}
    output: %s
outputs: {count: "${{ each | length }}"}
"""
OUTPUTS = {"numbers": '"${{ size }}"', "whole items": '"${{ page.text }}"'}


class PageParams(Params):
    """Which."""

    number: int


class Page(Result):
    """Ten thousand characters."""

    text: str


_peak_kb = 0  # at the last call


async def make_page(ctx: ToolContext, params: PageParams) -> Page:
    """Make a page of ten thousand characters."""
    global _peak_kb  # a script that measures one run
    await asyncio.sleep(0)
    _peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return Page(text=str(params.number).zfill(ITEM_BYTES))


class ForgetfulJournal:
    """Writes entries nowhere, which costs what encoding them costs."""

    entries = 0

    def finished(self, path: str, *, call: str | None = None) -> StepRecord | None:
        """Nothing was done before."""
        return None

    def earlier(self, path: str, *, call: str | None = None) -> StepRecord | None:
        """Nothing was done before."""
        return None

    def append(self, *records: StepRecord) -> None:
        """Count them."""
        self.entries += len(records)

    async def durable(self) -> None:
        """At once."""

    def delta(self, step: StepRecord, text: str) -> None:
        """Nobody watches."""


@dataclass
class PlainPorts:
    """Tools without a context, and the machine's clock."""

    def context(self, *, step_path: str, idempotency_key: str, connection: str | None) -> Any:
        """The tool of this benchmark uses none."""
        return None

    def connection(self, name: str) -> None:
        """None is bound."""

    def now(self) -> datetime:
        """The machine's."""
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        """The machine's."""
        await asyncio.sleep(seconds)


async def run(count: int, output: str) -> tuple[int, float]:
    """Peak memory in kB until the last item, and seconds."""
    tools = {"bench.page": tool("bench.page", effect=Effect.READ)(make_page)}
    template = parse_template(TEMPLATE % output, tools=tools).template
    graph = compile_graph(template, tools)
    plain: Any = PlainPorts()  # Any: it stands for two ports
    models: Any = None  # Any: no model is asked
    journal: Any = ForgetfulJournal()  # Any: checked by running
    facts = RunFacts("r", "r", "w", "long-map", "1.0.0", "", "api", plain.now(), "")
    started = time.perf_counter()
    outcome = await execute(
        graph, facts, inputs={"numbers": list(range(count))}, connections={},
        ports=Ports(journal=journal, tools=plain, models=models, clock=plain), gate=Gate(),
    )  # fmt: skip
    seconds = time.perf_counter() - started
    assert outcome == Succeeded({"count": count}), outcome  # a wrong run measures nothing
    return _peak_kb, seconds


def measure(count: int, output: str) -> tuple[int, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, str(count), output]
    found = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    return int(found[0]), float(found[1])


def main() -> None:
    """Print both figures for small and for whole outputs."""
    print(f"map of items of {ITEM_BYTES // 1000} kB, {SMALL} and {LARGE} items")
    for name, output in OUTPUTS.items():
        (small_kb, _), (large_kb, seconds) = measure(SMALL, output), measure(LARGE, output)
        per_item = (large_kb - small_kb) / (LARGE - SMALL)
        verdict = "meets" if per_item <= TARGET_KB_PER_ITEM else "misses"
        print(
            f"  output: {name:12} peak {small_kb / 1000:.0f} -> {large_kb / 1000:.0f} MB,"
            f" {per_item:.2f} kB per item ({verdict} {TARGET_KB_PER_ITEM:g}),"
            f" {seconds / LARGE * 1e6:.0f} us per item"
        )


if __name__ == "__main__":
    if len(sys.argv) == 3:
        peak, took = asyncio.run(run(int(sys.argv[1]), sys.argv[2]))
        print(peak, took)
    else:
        main()
