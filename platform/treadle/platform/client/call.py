"""One call of the API, before it is sent: what to send, and how to read the answer."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Generic, TypeVar
from uuid import uuid4

import httpx
from pydantic import BaseModel, JsonValue

from treadle.platform.client.models import Page

T = TypeVar("T")
M = TypeVar("M", bound=BaseModel)

Query = Mapping[str, str | int | bool | None]
Part = tuple[str, bytes, str]
"""A file in a form: name, content, media type."""


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """A request that may be sent more than once: its idempotency key is part of it."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    query: Query = field(default_factory=dict[str, str | int | bool | None])
    json: JsonValue = None
    content: bytes | None = None
    file: Part | None = None
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    timeout_s: float = 30.0
    accepts: frozenset[int] = frozenset()
    """Statuses over 399 whose body is an answer, not a problem."""

    @property
    def is_repeatable(self) -> bool:
        """Whether sending it twice does it once."""
        return self.method != "POST" or "Idempotency-Key" in self.headers


def body_of(model: type[M]) -> Callable[[httpx.Response], M]:
    """Read a JSON answer as a model."""
    return lambda response: model.model_validate_json(response.content)


def page_of(model: type[M]) -> Callable[[httpx.Response], Page[M]]:
    """Read one part of a list."""
    page = Page[model]  # type: ignore[valid-type]  # a type made while running
    return lambda response: page.model_validate_json(response.content)


def nothing(_: httpx.Response) -> None:
    """Read an answer without a body."""


def file_bytes(response: httpx.Response) -> bytes:
    """Read a file."""
    return response.content


def once() -> dict[str, str]:
    """Headers for a POST that creates: sent again, it creates nothing more."""
    return {"Idempotency-Key": uuid4().hex}


def given(**values: JsonValue) -> dict[str, JsonValue]:
    """Keep what is not None: an absent field and a null one differ to the service."""
    return {name: value for name, value in values.items() if value is not None}


def following(call: Call[Page[T]], cursor: str) -> Call[Page[T]]:
    """Return the call for the part of a list that begins at a cursor."""
    return replace(call, query={**call.query, "cursor": cursor})
