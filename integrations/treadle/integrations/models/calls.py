"""What one model call takes and gives; the transport is `client.py`."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

JsonSchema = Mapping[str, Any]  # Any: JSON Schema is open by definition


@dataclass(frozen=True, slots=True)
class ToolSpec:
    """A tool the model may call, as the model sees it. `name` has letters, digits, _ and -."""

    name: str
    description: str
    parameters: JsonSchema


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call the model asks for. `arguments` is what it wrote: JSON, if it did well."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True, slots=True)
class Message:
    """One message of a conversation. `images` are URLs or data URLs.

    Attributes:
        tool_calls: Of an assistant's message; each is answered by a message of role `tool`.
        tool_call_id: Which call a message of role `tool` answers.
    """

    role: Literal["system", "user", "assistant", "tool"]
    content: str
    images: Sequence[str] = ()
    tool_call_id: str | None = None
    tool_calls: Sequence[ToolCall] = ()


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """One call. `model` is an alias of models.yaml; `None` takes the installation's default.

    Attributes:
        schema: What the answer's text must be JSON for.
        tools: What the model may call instead of answering.
        cache_key: The same for calls that begin alike, so that an endpoint that keeps prompts can
            send them to the machine that has theirs.
    """

    messages: Sequence[Message]
    model: str | None = None
    schema: JsonSchema | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    stop: Sequence[str] = ()
    seed: int | None = None
    thinking: Literal["on", "off", "auto"] = "auto"
    tools: Sequence[ToolSpec] = ()
    cache_key: str | None = None


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one call and what they cost; `None` where the endpoint has no price.

    `is_estimated`: the endpoint counted nothing, so the texts were measured.
    """

    input_tokens: int
    output_tokens: int
    cached_tokens: int = 0
    cost_usd: float | None = None
    is_estimated: bool = False


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer of one call; `reasoning` is never part of `text`.

    With `tool_calls` the model waits for their results, and `text` is what it said beside them.
    """

    text: str
    reasoning: str | None
    finish_reason: str
    tokens: Tokens
    model: str
    endpoint: str
    tool_calls: Sequence[ToolCall] = ()


class ModelClient(Protocol):
    """All model endpoints of this installation behind one call."""

    @property
    def available(self) -> bool:
        """Whether any endpoint is configured."""
        ...

    async def complete(
        self,
        request: ChatRequest,
        *,
        timeout_s: float,
        on_delta: Callable[[str], None] | None = None,
    ) -> Completion:
        """Make exactly one call, streamed when `on_delta` is given.

        Raises `ToolError`: rate_limit, timeout, upstream, invalid_input (unknown alias), or
        upstream with code `no_model_endpoint` where none is configured.
        """
        ...
