"""What an `llm` or `agent` node asks: its fields as evaluated, as one request.

The conversation begins with what changes least (system, then earlier messages), and repairs and
tool results go to its end, so that endpoints that keep prompts find the beginning again.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from treadle.agents.nodes.base import Part
from treadle.agents.nodes.fields import (
    AnyValue,
    Fits,
    Json,
    ListValue,
    TextValue,
    Value,
    WholeNumberValue,
)
from treadle.agents.steps.answers import AnswerSchema
from treadle.agents.steps.arguments import validated
from treadle.agents.steps.images import readable_image
from treadle.agents.steps.turn import Turn
from treadle.agents.values import JsonValue
from treadle.integrations.models import ChatRequest
from treadle.integrations.models import Message as ChatMessage


class Message(Part):
    """One message; the shape that a constant in `messages` must have."""

    role: Literal["system", "user", "assistant"]
    content: Any  # Any: a text, or a list of parts with expressions inside


class ModelConfig(Part):
    """What the model is asked. `prompt` or `messages`, not both.

    Attributes:
        model: An alias of models.yaml; its fallback answers where it is down.
        system: What the model is told before everything else.
        prompt: The question; what is no text becomes JSON.
        messages: `{role, content}` each; content is a text, or parts as in the OpenAI protocol.
        output_schema: JSON Schema of the answer, which then is the output as a value.
        temperature: How freely it chooses words.
        max_tokens: Length of the answer at most.
        thinking: Whether it reasons before it answers; `auto` leaves it to the endpoint.
        images: Addresses, data URLs or ids of uploaded files, sent with the last message.
        stop: Texts at which the answer ends.
        seed: The same for the same answer, where the endpoint takes it.
    """

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


class Asked(BaseModel):
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


class _TextPart(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: Literal["text"] = "text"
    text: str


class _Address(BaseModel):
    model_config = ConfigDict(extra="ignore")
    url: str


class _ImagePart(BaseModel):
    model_config = ConfigDict(extra="forbid")
    type: Literal["image_url"] = "image_url"
    image_url: _Address | str


_PARTS: TypeAdapter[list[_TextPart | _ImagePart]] = TypeAdapter(list[_TextPart | _ImagePart])


@dataclass(frozen=True, slots=True)
class Question:
    """What a node asks, but for what only an evaluation gives.

    Attributes:
        kind: The node's type, for messages.
        default_model: The template's `defaults.model`.
    """

    kind: str
    config: ModelConfig
    schema: AnswerSchema | None
    default_model: str | None

    def asked(self, turn: Turn) -> Asked:
        """The fields in this turn's scope; raises `StepFailed` that names the field."""
        fields = ((name, getattr(self.config, name)) for name in Asked.model_fields)
        evaluated = {
            name: turn.evaluate(value, f"with.{name}")
            for name, value in fields
            if value is not None
        }
        return validated(turn, Asked, evaluated, of=self.kind)

    def model(self, turn: Turn, asked: Asked) -> str | None:
        """The alias that is asked: the node's, else the agent's, else the template's."""
        return asked.model or turn.run.facts.model or self.default_model

    async def request(self, turn: Turn) -> ChatRequest:
        """The first request of a conversation."""
        asked = self.asked(turn)
        messages = _messages(asked)
        return ChatRequest(
            messages=[await _with_readable_images(turn, message) for message in messages],
            model=self.model(turn, asked),
            schema=None if self.schema is None else self.schema.schema,
            temperature=asked.temperature,
            max_tokens=asked.max_tokens,
            stop=[asked.stop] if isinstance(asked.stop, str) else asked.stop or (),
            seed=asked.seed,
            thinking=self.config.thinking,
            cache_key=_cache_key(turn),
        )


def repair(text: str, problem: str) -> Sequence[ChatMessage]:
    """A wrong answer, and what is wrong with it."""
    wanted = f"{problem}. Answer again with the corrected JSON value alone."
    return (ChatMessage("assistant", text), ChatMessage("user", wanted))


def _cache_key(turn: Turn) -> str:
    facts = turn.run.facts
    source = f"{facts.workspace} {facts.name} {turn.node.template_path}"
    return hashlib.sha256(source.encode()).hexdigest()[:32]


def _messages(asked: Asked) -> list[ChatMessage]:
    """The conversation; `images` go with its last message."""
    messages = [_message(message.role, message.content) for message in asked.messages or ()]
    if asked.system is not None:
        messages.insert(0, ChatMessage("system", _text(asked.system)))
    if asked.prompt is not None:
        messages.append(_message("user", asked.prompt))
    if asked.images and messages:
        messages[-1] = replace(messages[-1], images=[*messages[-1].images, *asked.images])
    return messages


def _message(role: Literal["system", "user", "assistant"], content: JsonValue) -> ChatMessage:
    """A message; a list of text and image parts is one, any other value is text or JSON."""
    parts = _parts(content)
    if parts is None:
        return ChatMessage(role, _text(content))
    texts = [part.text for part in parts if isinstance(part, _TextPart)]
    addresses = [part.image_url for part in parts if isinstance(part, _ImagePart)]
    images = [one if isinstance(one, str) else one.url for one in addresses]
    return ChatMessage(role, "\n".join(texts), images=images)


def _parts(content: JsonValue) -> "list[_TextPart | _ImagePart] | None":
    if not isinstance(content, list) or not content:
        return None
    try:
        return _PARTS.validate_python(content)
    except ValidationError:
        return None


async def _with_readable_images(turn: Turn, message: ChatMessage) -> ChatMessage:
    if not message.images:
        return message
    return replace(message, images=[await readable_image(turn, one) for one in message.images])


def _text(value: JsonValue) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
