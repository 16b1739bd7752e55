"""`llm`: one call of a model."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

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
