"""A tool context with nothing but artifacts: what pure tools and file tools may use."""

import hashlib
import inspect
from dataclasses import dataclass, field
from typing import NoReturn, TypeVar

from treadle.integrations.base import ArtifactRef, Params, Result, Tool

P = TypeVar("P", bound=Params)
R = TypeVar("R", bound=Result)


@dataclass
class MemoryArtifacts:
    """Artifacts by name."""

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])

    async def put(self, name: str, content: bytes, *, media_type: str) -> ArtifactRef:
        self.files[name] = content
        digest = hashlib.sha256(content).hexdigest()
        return ArtifactRef(
            id=f"art_{name}", name=name, media_type=media_type, size=len(content), sha256=digest
        )


class NoContext:
    """Whatever reaches outside is a mistake of the test."""

    def __init__(self) -> None:
        self.memory = MemoryArtifacts()

    @property
    def artifacts(self) -> MemoryArtifacts:
        return self.memory

    @property
    def idempotency_key(self) -> NoReturn:
        raise AssertionError("a pure tool needs no key")

    @property
    def http(self) -> NoReturn:
        raise AssertionError("a pure tool sends nothing")

    @property
    def connection(self) -> NoReturn:
        raise AssertionError("a pure tool has no connection")

    @property
    def models(self) -> NoReturn:
        raise AssertionError("a pure tool asks no model")

    @property
    def files(self) -> NoReturn:
        raise AssertionError("a pure tool reads no uploads")

    @property
    def mail_url(self) -> NoReturn:
        raise AssertionError("a pure tool writes to nobody")

    @property
    def search_url(self) -> NoReturn:
        raise AssertionError("a pure tool searches nothing")


async def call_tool(tool: Tool[P, R], context: NoContext, arguments: object) -> R:
    """Call a tool with arguments as a template gives them."""
    found = tool.function(context, tool.params.model_validate(arguments))
    result = await found if inspect.isawaitable(found) else found
    assert isinstance(result, tool.result)
    return result
