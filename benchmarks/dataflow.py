"""No barriers: a graph of two branches of uneven steps, beside LangGraph's superstep order.

The same graph, the same waiting, one process, taking turns: Treadle's interpreter, and a plain
LangGraph StateGraph, which ends a superstep only when its slowest node ends. The longest path is
what nobody can be faster than. Target: at most 15 % over the longest path.
"""

import asyncio
import operator
import statistics
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph  # pyright: ignore[reportMissingTypeStubs]

from treadle.agents.interpreter import Gate, Graph, compile_graph
from treadle.agents.interpreter.execution import execute
from treadle.agents.language import parse_template
from treadle.agents.ports import Ports, RunFacts, StepRecord, Succeeded
from treadle.integrations.base import Effect, Params, Result, ToolContext, tool
from treadle.integrations.registry import AnyTool

STEPS = {"a": 0.02, "b": 0.30, "c": 0.05, "d": 0.30, "e": 0.02, "f": 0.25}
EDGES = {"a": (), "b": ("a",), "c": ("b",), "d": (), "e": ("d",), "f": ("e",)}
LONGEST_S = 0.57  # d, e, f
ROUNDS = 7
TARGET = 1.15


class NapParams(Params):
    """How long, and after what."""

    seconds: float
    after: tuple[str, ...] = ()


class Nap(Result):
    """Which."""

    name: str


async def take_nap(ctx: ToolContext, params: NapParams) -> Nap:
    """Wait for some time, as a model or a page does."""
    await asyncio.sleep(params.seconds)
    return Nap(name="x")


class NoLedger:
    """Nothing was done before, and nothing is kept."""

    def finished(self, path: str, *, call: str | None = None) -> StepRecord | None:
        """Nothing."""
        return None

    def earlier(self, path: str, *, call: str | None = None) -> StepRecord | None:
        """Nothing."""
        return None

    def append(self, *records: StepRecord) -> None:
        """Forget them."""

    async def durable(self) -> None:
        """At once."""

    def delta(self, step: StepRecord, text: str) -> None:
        """Nobody watches."""


class Plain:
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


def compile_template() -> Graph:
    """The graph as a template: references make its edges."""
    nodes = "".join(
        f"  {name}: {{use: bench.nap, with: {{seconds: {STEPS[name]}, after: ["
        + ", ".join(f'"${{{{ {one}.name }}}}"' for one in before)
        + "]}}\n"
        for name, before in EDGES.items()
    )
    text = f"treadle: 1\nname: dataflow\nversion: 1.0.0\nnodes:\n{nodes}"
    text += 'outputs: {out: "${{ c.name ~ f.name }}"}\n'
    tools: dict[str, AnyTool] = {"bench.nap": tool("bench.nap", effect=Effect.READ)(take_nap)}
    return compile_graph(parse_template(text, tools=tools).template, tools)


async def run_template(graph: Graph) -> None:
    """One run by Treadle's interpreter."""
    plain: Any = Plain()  # Any: it stands for two ports
    nothing: Any = None  # Any: no model is asked
    ledger: Any = NoLedger()  # Any: checked by running
    facts = RunFacts("r", "r", "w", "dataflow", "1.0.0", "", "api", plain.now(), "")
    outcome = await execute(
        graph, facts, inputs={}, connections={},
        ports=Ports(journal=ledger, tools=plain, models=nothing, clock=plain), gate=Gate(),
    )  # fmt: skip
    assert outcome == Succeeded({"out": "xx"}), outcome


class State(TypedDict):
    """What LangGraph's nodes add to."""

    done: Annotated[list[str], operator.add]


def compile_supersteps() -> Any:  # Any: langgraph's own type has parameters of no use here
    """The same graph in LangGraph's plain form."""
    graph: Any = StateGraph(State)  # Any: as above
    for name, seconds in STEPS.items():
        graph.add_node(name, _napping(name, seconds))
    for name, before in EDGES.items():
        for one in before or (START,):
            graph.add_edge(one, name)
    for last in ("c", "f"):
        graph.add_edge(last, END)
    return graph.compile()


def _napping(name: str, seconds: float) -> Callable[[State], Awaitable[State]]:
    async def nap(state: State) -> State:
        await asyncio.sleep(seconds)
        return {"done": [name]}

    return nap


async def timed(work: Awaitable[object]) -> float:
    """Seconds."""
    started = time.perf_counter()
    await work
    return time.perf_counter() - started


async def main() -> None:
    """Take turns and print the medians."""
    graph, supersteps = compile_template(), compile_supersteps()
    await run_template(graph)
    await supersteps.ainvoke({"done": []})
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(ROUNDS):
        ours.append(await timed(run_template(graph)))
        theirs.append(await timed(supersteps.ainvoke({"done": []})))
    mine, other = statistics.median(ours), statistics.median(theirs)
    verdict = "meets" if mine <= LONGEST_S * TARGET else "misses"
    print(f"longest path      {LONGEST_S:.3f} s")
    print(f"treadle           {mine:.3f} s, {mine / LONGEST_S:.2f} of it ({verdict} {TARGET:g})")
    print(f"LangGraph, plain  {other:.3f} s, {other / LONGEST_S:.2f} of it")


if __name__ == "__main__":
    asyncio.run(main())
