"""One run of a graph: one LangGraph entrypoint, without a checkpointer and without interrupts."""

from collections.abc import Mapping
from dataclasses import dataclass

from treadle.agents.errors import ExpressionError
from treadle.agents.interpreter.bodies import GraphBodies, run_body
from treadle.agents.ports import Failed, Outcome, Parked, Ports, RunFacts, StepError, Succeeded
from treadle.agents.steps.dataflow import as_entrypoint
from treadle.agents.steps.frame import Frame, error_as_json
from treadle.agents.steps.gate import Closed, Gate
from treadle.agents.steps.graph import Graph
from treadle.agents.steps.run import Run
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass


@dataclass(frozen=True, slots=True)
class _Execution:
    graph: Graph
    run: Run


async def run_entry(execution: _Execution) -> Outcome:
    """The body of the run's entrypoint."""
    graph, run = execution.graph, execution.run
    root = Frame(run, gate=Gate(run.gate))
    await run_body(graph.body, root)
    outputs = _outputs(graph, root)
    if root.failure is not None:
        return await _fail(graph, run, root.failure)
    if outputs is not None:
        return Succeeded(outputs)
    return _parked(run)


run_graph = as_entrypoint(run_entry)


async def execute(
    graph: Graph,
    facts: RunFacts,
    *,
    inputs: Mapping[str, JsonValue],
    connections: Mapping[str, bool],
    ports: Ports,
    gate: Gate,
) -> Outcome:
    """Advance a run as far as it goes: to its end, to a wait, or until the gate stops it.

    Args:
        graph: Compiled once, shared by all runs.
        facts: Of this run.
        inputs: Complete: defaults filled in, absent optional ones null.
        connections: Logical names to whether they are bound.
        ports: The journal holds what is finished; nothing in it is done again.
        gate: Closed by the engine: drain, pause, budget, cancel.

    Raises `LeaseLost` and whatever else the journal raises; nothing of the run works then.
    """
    run = Run(
        facts, inputs=inputs, connections=connections, ports=ports, gate=gate, bodies=GraphBodies()
    )
    # Without a task LangGraph has nothing to do, and its entrypoint costs more than such a run.
    enter = run_entry if graph.is_inline else run_graph
    try:
        outcome = await enter(_Execution(graph, run))
    finally:
        run.quiet.stop()
    if run.crash is not None:
        raise run.crash
    return outcome


def _outputs(graph: Graph, root: Frame) -> dict[str, JsonValue] | None:
    """The run's outputs once every node is done; `None` if it is not or an output failed."""
    if root.failure is not None or not root.has_all(graph.body):
        return None
    outputs: dict[str, JsonValue] = {}
    for name, value in graph.outputs.items():
        try:
            outputs[name] = value.evaluate(root)
        except ExpressionError as error:
            root.fail(_output_error(name, error))
            return None
    return outputs


def _output_error(name: str, error: ExpressionError) -> StepError:
    path = f"outputs.{name}"
    message = f"{path}: {error.message}"
    return StepError(path, path, ErrorClass.INVALID_INPUT, "expression_error", message)


async def _fail(graph: Graph, run: Run, failure: StepError) -> Outcome:
    """Run `on_failure` once, then fail. Its own failure changes nothing."""
    if run.gate.reason is Closed.CANCEL:
        return _parked(run)
    if graph.on_failure is not None:
        frame = Frame(
            run,
            gate=Gate(run.gate),
            path="on_failure",
            node="on_failure",
            names={"error": error_as_json(failure)},
        )
        await run_body(graph.on_failure, frame)
        if (
            run.gate.reason is not None
            and frame.failure is None
            and not frame.has_all(graph.on_failure)
        ):
            return _parked(run)
    return Failed(failure)


def _parked(run: Run) -> Parked:
    return Parked(tuple(run.waits), run.gate.reason or "waiting")
