"""`llm`: one call of a model."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import override

from treadle.agents.errors import StepFailed
from treadle.agents.nodes.base import CallBase, Part
from treadle.agents.nodes.fields import (
    AnyValue,
    Fits,
    Json,
    ListValue,
    TextValue,
    Value,
    WholeNumberValue,
)
from treadle.agents.steps.answers import AnswerInvalid, AnswerSchema
from treadle.agents.steps.arguments import validated
from treadle.agents.steps.graph import EffectWork
from treadle.agents.steps.models import call_model
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonValue
from treadle.integrations.errors import ErrorClass
from treadle.integrations.models import ChatRequest
from treadle.integrations.models import Message as ChatMessage


class Message(Part):
    """One message; the shape that a constant in `messages` must have."""

    role: Literal["system", "user", "assistant"]
    content: Any  # Any: a text, or a list of parts with expressions inside


class LlmConfig(Part):
    """What the model is asked. `prompt` or `messages`, not both."""

    model: TextValue | None = None
    system: TextValue | None = None
    prompt: AnyValue | None = None
    messages: ListValue | None = None
    output_schema: dict[str, Json] | None = Field(default=None, alias="schema")
    temperature: Annotated[Value, Fits(Annotated[float, Field(ge=0, le=2)])] | None = None
    max_tokens: Annotated[Value, Fits(Annotated[int, Field(ge=1)])] | None = None
    thinking: Literal["on", "off", "auto"] = "on"
    images: ListValue | None = None
    stop: Annotated[Value, Fits(str | list[str])] | None = None
    seed: WholeNumberValue | None = None


class LlmNode(CallBase):
    """Output: text; with `schema` the parsed value."""

    kind: ClassVar[str] = "llm"
    use: Literal["llm"]
    config: LlmConfig = Field(alias="with")


REPAIRS = 2
REPAIR_PROMPT = "{problem}. Answer again with the corrected JSON value alone."


class _Asked(BaseModel):
    """The fields as evaluated: what an expression gave is checked here."""

    model_config = ConfigDict(extra="forbid", strict=True)

    model: str | None = None
    system: Any = None  # Any: any JSON value; what is no text becomes JSON
    prompt: Any = None  # Any: see above
    messages: list[Message] | None = None
    images: list[str] | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    max_tokens: int | None = Field(default=None, ge=1)
    stop: str | list[str] | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class LlmWork(EffectWork):
    """Asks a model; with a schema it asks at most twice more for an answer that fits.

    Attributes:
        default_model: The template's `defaults.model`.
    """

    config: LlmConfig
    schema: AnswerSchema | None
    default_model: str | None

    @override
    async def attempt(self, turn: Turn) -> JsonValue:
        """One conversation: the question, and the repairs of its answer."""
        request = self._request(turn)
        if self.schema is None:
            return await call_model(turn, request, number=turn.first_call)
        problem = ""
        for number in range(turn.first_call, turn.first_call + REPAIRS + 1):
            text = await call_model(turn, request, number=number)
            try:
                return self.schema.read(text)
            except AnswerInvalid as error:
                problem = str(error)
            request = replace(request, messages=[*request.messages, *_repair(text, problem)])
        turn.first_call += REPAIRS + 1  # another attempt starts a new conversation
        raise StepFailed(
            f"{turn.node.template_path}: after {REPAIRS} repairs {problem}",
            error_class=ErrorClass.INVALID_OUTPUT,
            code="invalid_output",
        )

    def _request(self, turn: Turn) -> ChatRequest:
        fields = ((name, getattr(self.config, name)) for name in _Asked.model_fields)
        asked = validated(
            turn,
            _Asked,
            {
                name: turn.evaluate(value, f"with.{name}")
                for name, value in fields
                if value is not None
            },
            of="llm",
        )
        return ChatRequest(
            messages=_messages(asked),
            model=asked.model or turn.run.facts.model or self.default_model,
            schema=None if self.schema is None else self.schema.schema,
            temperature=asked.temperature,
            max_tokens=asked.max_tokens,
            stop=[asked.stop] if isinstance(asked.stop, str) else asked.stop or (),
            seed=asked.seed,
            thinking=self.config.thinking,
        )


def _messages(asked: _Asked) -> list[ChatMessage]:
    """The conversation; images go with its last message."""
    messages = [
        ChatMessage(role=message.role, content=_text(message.content))
        for message in asked.messages or ()
    ]
    if asked.system is not None:
        messages.insert(0, ChatMessage(role="system", content=_text(asked.system)))
    if asked.prompt is not None:
        messages.append(ChatMessage(role="user", content=_text(asked.prompt)))
    if asked.images and messages:
        messages[-1] = replace(messages[-1], images=asked.images)
    return messages


def _text(value: JsonValue) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _repair(text: str, problem: str) -> Sequence[ChatMessage]:
    return (
        ChatMessage(role="assistant", content=text),
        ChatMessage(role="user", content=REPAIR_PROMPT.format(problem=problem)),
    )
