"""Running a body: one LangGraph task per unit, all called at once, none waiting for a superstep.

A body of one unit inside a container needs no task of its own: the container's waits for nothing
else.

The tasks are called in topological order; each awaits the futures of the units it refers to. What
is finished is known by its path in the ledger, never by LangGraph, which runs without a
checkpointer.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from treadle.agents.errors import Blocked, StepWaits
from treadle.agents.interpreter.chunks import run_items
from treadle.agents.interpreter.lifecycle import restore, take, take_pure
from treadle.agents.steps.dataflow import as_task
from treadle.agents.steps.frame import Frame
from treadle.agents.steps.graph import Body, ContainerWork, EffectWork, PureWork, Unit, WaitWork
from treadle.agents.steps.items import Items

Upstream = Sequence[asyncio.Future[None]]


async def step_body(frame: Frame, unit: Unit, upstream: Upstream) -> None:
    """Run one unit once everything it refers to is done."""
    try:
        pending = [node for node in unit.nodes if not restore(frame, node)]
        if not pending:
            return
        for future in upstream:
            await future
        for node in pending:
            match node.work:
                case PureWork() as work:
                    take_pure(frame, node, work)
                case EffectWork() | WaitWork() | ContainerWork() as work:
                    await take(frame, node, work)
    except (Blocked, StepWaits):
        raise Blocked("upstream") from None
    except Exception as error:  # the edge of a task: nobody above can tell whose error it is
        frame.run.abort(error)
        raise


step = as_task(step_body)


async def run_body(body: Body, frame: Frame) -> None:
    """Run a body's nodes; returns when nothing in it works any more."""
    if body.is_inline:
        GraphBodies().run_pure(body, frame)
        return
    if len(body.units) == 1 and frame.parent is not None:
        # `step_body` has told the run of whatever is wrong; a task's failure is not raised either.
        with suppress(Exception):
            await step_body(frame, body.units[0], ())
        return
    futures: list[asyncio.Future[None] | None] = []
    for unit in body.units:
        if unit.is_inline:
            _run_inline(frame, unit)
            futures.append(None)
            continue
        waited = (futures[index] for index in unit.upstream)
        upstream = [future for future in waited if future is not None]
        futures.append(step(frame, unit, upstream))
    await asyncio.gather(*(f for f in futures if f is not None), return_exceptions=True)


class GraphBodies:
    """The one way to run what is inside a container."""

    async def run(self, body: Body, frame: Frame) -> None:
        """See `Bodies`."""
        await run_body(body, frame)

    def run_pure(self, body: Body, frame: Frame) -> None:
        """See `Bodies`."""
        for unit in body.units:
            _run_inline(frame, unit)

    async def run_items(self, items: Items) -> None:
        """See `Bodies`."""
        await run_items(items)


def _run_inline(frame: Frame, unit: Unit) -> None:
    """Run pure nodes that wait for nothing. If the gate is closed, it is so for the others too."""
    try:
        for node in unit.nodes:
            if isinstance(node.work, PureWork) and not restore(frame, node):
                take_pure(frame, node, node.work)
    except Blocked:
        return
