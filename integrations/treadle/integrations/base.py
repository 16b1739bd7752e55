"""How a tool is declared: one typed function gives the YAML node, form, docs and checks.

```python
class FetchParams(Params):
    url: HttpUrl

class Page(Result):
    url: str
    title: str | None

@tool("web.fetch", effect=Effect.READ)
async def fetch(ctx: ToolContext, params: FetchParams) -> Page:
    \"\"\"Fetch a page and read its text, headings and links.\"\"\"

TOOLS = (fetch,)
```

A module's `TOOLS` is listed once in `registry.py`.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Generic, Protocol, TypeVar, get_type_hints, overload

import httpx
from pydantic import BaseModel, ConfigDict, JsonValue

from treadle.integrations.models import ModelClient


class Effect(StrEnum):
    """What repeating a call means; decides how the engine recovers from a crash inside it."""

    READ = "read"
    """Repeat freely."""
    KEYED = "keyed"
    """Repeat under the same key: the receiver deduplicates."""
    ONCE = "once"
    """Never repeat unless the first surely was not sent or was refused."""


class Params(BaseModel):
    """Arguments of a tool; unknown ones are refused.

    One that decides where data goes (an address, a recipient, a file) is declared with
    `json_schema_extra=DESTINATION`: a model that calls the tool does not fill it by itself.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)


DESTINATION: dict[str, JsonValue] = {"destination": True}
"""Marks a parameter that decides where data goes."""


class Result(BaseModel):
    """What a tool returns; becomes the node's output as JSON."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True, slots=True)
class ArtifactRef:
    """A stored artifact of a run."""

    id: str
    name: str
    media_type: str
    size: int
    sha256: str


class ArtifactStore(Protocol):
    """Where a tool leaves files for people to download."""

    async def put(self, name: str, content: bytes, *, media_type: str) -> ArtifactRef:
        """Store a file of this run; the same step, name and content give the same artifact."""
        ...


class FileStore(Protocol):
    """Files that people uploaded (`format: file` inputs)."""

    async def read(self, file_id: str) -> tuple[str, bytes]:
        """Return a file's name and content; raises `ToolError` (invalid_input) without one."""
        ...


class Connection(Protocol):
    """A stored authorisation, opened for one call. Secrets stay inside: a tool gets a client."""

    @property
    def type(self) -> str:
        """Its kind: `http`, `google`, …."""
        ...

    @property
    def id(self) -> str:
        """Its id, safe to log."""
        ...

    def client(self) -> httpx.AsyncClient:
        """A guarded client that adds the secret, and only for the hosts the connection names."""
        ...


class ToolContext(Protocol):
    """Everything a tool may use. Nothing else reaches outside."""

    @property
    def idempotency_key(self) -> str:
        """Stable over retries and restarts of this one effect."""
        ...

    @property
    def http(self) -> httpx.AsyncClient:
        """A client behind the egress guard, without credentials."""
        ...

    @property
    def connection(self) -> Connection | None:
        """What the node's `connection:` is bound to."""
        ...

    @property
    def models(self) -> ModelClient:
        """The model endpoints of this installation."""
        ...

    @property
    def artifacts(self) -> ArtifactStore:
        """Files for people."""
        ...

    @property
    def files(self) -> FileStore:
        """Uploaded files."""
        ...

    @property
    def search_url(self) -> str | None:
        """Base URL of the SearXNG this installation uses (`TREADLE_SEARCH_URL`)."""
        ...

    @property
    def mail_url(self) -> str | None:
        """Where this installation hands mail over (`TREADLE_SMTP_URL`); a secret."""
        ...


P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)
ToolFunction = Callable[[ToolContext, P], Awaitable[R]] | Callable[[ToolContext, P], R]


@dataclass(frozen=True, slots=True)
class Tool(Generic[P, R]):
    """One declared tool.

    Attributes:
        name: `<integration>.<action>`.
        effect: Its class, or a function that decides by the arguments.
        connection: The type of connection it needs, `None` for none.
        connection_optional: Whether it also works without one.
        cpu_heavy: Runs in another process instead of a thread (synchronous functions only).
        is_quick: Given little, it is done in less time than a thread takes to begin (synchronous
            functions that compute and wait for nothing).
        reads_untrusted: Its result can hold what strangers wrote.
        reads_private: Its result can hold what only its account may see.
        is_outward: A call sends its arguments out of the workspace.
        is_trigger: It starts runs; no node calls it.
    """

    name: str
    function: ToolFunction[P, R]
    params: type[P]
    result: type[R]
    effect: Effect | Callable[[P], Effect]
    connection: str | None
    connection_optional: bool
    cpu_heavy: bool
    reads_untrusted: bool = True
    reads_private: bool = True
    is_outward: bool = True
    is_trigger: bool = False
    is_quick: bool = False

    @property
    def description(self) -> str:
        """The docstring of the function."""
        return inspect.getdoc(self.function) or ""

    @property
    def destinations(self) -> frozenset[str]:
        """The arguments that decide where data goes, by the names they are written with."""
        return _destinations(self.params)

    @property
    def is_local(self) -> bool:
        """Whether a call reaches nothing outside: it computes, and leaves files for people."""
        reaches = self.reads_untrusted or self.reads_private or self.is_outward
        return not reaches and self.connection is None

    @property
    def is_async(self) -> bool:
        """Whether it runs on the event loop; other tools go to a thread or a process."""
        return inspect.iscoroutinefunction(self.function)

    def effect_of(self, params: P) -> Effect:
        """The effect class of a call with these arguments."""
        return self.effect if isinstance(self.effect, Effect) else self.effect(params)


@dataclass(frozen=True, slots=True)
class Declaration:
    """Turns a function into a tool; overloaded, because checkers solve no union of callables."""

    name: str
    effect: Callable[..., Effect] | Effect  # what a function takes is known once one is declared
    connection: str | None
    connection_optional: bool
    cpu_heavy: bool
    reads_untrusted: bool | None
    reads_private: bool | None
    is_outward: bool | None
    is_trigger: bool
    is_quick: bool

    @overload
    def __call__(self, function: Callable[[ToolContext, P], Awaitable[R]], /) -> Tool[P, R]: ...
    @overload
    def __call__(self, function: Callable[[ToolContext, P], R], /) -> Tool[P, R]: ...
    def __call__(self, function: ToolFunction[P, R], /) -> Tool[P, R]:
        """Read the parameters and the result from the annotations `params` and `return`."""
        hints: Mapping[str, type] = get_type_hints(function)
        params: type[P] = hints["params"]
        has_account = self.connection is not None
        # Nothing that reaches outside is synchronous but what a bound account's own library does.
        is_reader = inspect.iscoroutinefunction(function) or has_account
        can_send = self.effect is not Effect.READ or bool(_destinations(params))
        return Tool(
            name=self.name,
            function=function,
            params=params,
            result=hints["return"],
            effect=self.effect,
            connection=self.connection,
            connection_optional=self.connection_optional,
            cpu_heavy=self.cpu_heavy,
            reads_untrusted=_or(self.reads_untrusted, is_reader),
            reads_private=_or(self.reads_private, has_account),
            is_outward=_or(self.is_outward, can_send),
            is_trigger=self.is_trigger,
            is_quick=self.is_quick,
        )


def tool(
    name: str,
    *,
    effect: Effect | Callable[[P], Effect],
    connection: str | None = None,
    connection_optional: bool = False,
    cpu_heavy: bool = False,
    reads_untrusted: bool | None = None,
    reads_private: bool | None = None,
    is_outward: bool | None = None,
    is_trigger: bool = False,
    is_quick: bool = False,
) -> Declaration:
    """Declare a function as a tool; its annotations are the declaration.

    What is not said follows from the rest, on the safe side: what awaits or has an account reads
    what strangers wrote, an account is private, what changes something or has a destination sends.
    """
    return Declaration(
        name=name,
        effect=effect,
        connection=connection,
        connection_optional=connection_optional,
        cpu_heavy=cpu_heavy,
        reads_untrusted=reads_untrusted,
        reads_private=reads_private,
        is_outward=is_outward,
        is_trigger=is_trigger,
        is_quick=is_quick,
    )


def _or(declared: bool | None, derived: bool) -> bool:
    return derived if declared is None else declared


@cache
def _destinations(params: type[BaseModel]) -> frozenset[str]:
    schema: Mapping[str, Mapping[str, object]] = params.model_json_schema(by_alias=True).get(
        "properties", {}
    )
    return frozenset(name for name, field in schema.items() if field.get("destination") is True)
