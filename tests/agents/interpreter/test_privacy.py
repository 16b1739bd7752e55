"""Nothing of a run leaves the house by the back door of a library."""

from langsmith import tracing_context  # pyright: ignore[reportUnknownVariableType]
from langsmith.utils import tracing_is_enabled  # pyright: ignore[reportUnknownVariableType]
from tests.agents.interpreter.stage import Stage, compiled

from treadle.integrations.base import Effect, Params, Result, ToolContext, tool


class Traced(Result):
    traced: bool


@tool("probe.traced", effect=Effect.READ)
async def traced(ctx: ToolContext, params: Params) -> Traced:
    """Say whether what runs here would be sent to a tracing service."""
    return Traced(traced=bool(tracing_is_enabled()))


async def test_tracing_switched_on_outside_is_off_in_a_run(stage: Stage) -> None:
    """`LANGSMITH_TRACING` in the environment makes LangGraph send inputs and outputs away."""
    graph = compiled(
        """
        a: {use: probe.traced}
        each:
          use: map
          over: [1]
          nodes: {b: {use: probe.traced}}
          output: ${{ b.traced }}
        """,
        stage.world,
        rest='outputs: {a: "${{ a.traced }}", each: "${{ each }}"}',
        tools=[traced],
    )
    with tracing_context(enabled=True):
        assert tracing_is_enabled()
        assert await stage.outputs(graph) == {"a": False, "each": [False]}
