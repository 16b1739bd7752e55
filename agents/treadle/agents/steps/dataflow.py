"""LangGraph's functional API as this house uses it: no checkpointer, no interrupts, typed.

The only module that imports langgraph or langsmith.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

# langgraph is a namespace package, so its py.typed is not seen; langsmith types in part only.
from langgraph.func import entrypoint, task  # pyright: ignore[reportMissingTypeStubs]
from langsmith import tracing_context  # pyright: ignore[reportUnknownVariableType]

P = ParamSpec("P")
In = TypeVar("In")
Out = TypeVar("Out")
_ENTRYPOINT: Any = entrypoint()  # Any: langgraph forgets the types of what goes in and comes out


def as_task(body: Callable[P, Awaitable[Out]]) -> Callable[P, asyncio.Future[Out]]:
    """A task of an entrypoint: calling it starts it and gives its future.

    Call this at module level on a plain function, not as a decorator: LangGraph keeps a task's
    runnable only if `module.name` is the function itself, else it inspects its signature at every
    call, which costs a sixth of the speed.
    """
    started: Any = task(body)  # Any: langgraph types its future apart from asyncio's
    return started  # type: ignore[no-any-return]  # see above


def as_entrypoint(
    body: Callable[[In], Awaitable[Out]],
) -> Callable[[In], Coroutine[None, None, Out]]:
    """A LangGraph run of its own, started by calling it."""
    compiled = _ENTRYPOINT(body)

    async def run(value: In) -> Out:
        # LANGSMITH_TRACING in the environment would send inputs and outputs to another company.
        with tracing_context(enabled=False):
            outcome: Out = await compiled.ainvoke(value)
        return outcome

    return run
