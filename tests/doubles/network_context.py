"""A tool context with a guarded network and nothing else."""

import inspect
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

import httpx

from treadle.integrations.base import Connection, Params, Result, Tool
from treadle.integrations.egress import GuardedClient

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)


@dataclass(frozen=True)
class NetworkContext:
    """What `web` and `http` tools use."""

    guard: GuardedClient
    connection: Connection | None = None
    search_url: str | None = None
    mail_url: str | None = None
    idempotency_key: str = "step-key-1"

    @property
    def http(self) -> httpx.AsyncClient:
        return self.guard

    @property
    def models(self) -> NoReturn:
        raise AssertionError("a network tool asks no model")

    @property
    def artifacts(self) -> NoReturn:
        raise AssertionError("a network tool leaves no file")

    @property
    def files(self) -> NoReturn:
        raise AssertionError("a network tool reads no uploads")


async def call(tool: Tool[P, R], context: NetworkContext, **arguments: Any) -> R:  # Any: JSON
    """Call a tool with arguments as a template gives them."""
    found = tool.function(context, tool.params.model_validate(arguments))
    result = await found if inspect.isawaitable(found) else found
    assert isinstance(result, tool.result)
    return result
