"""What clients send: OpenAI's fields, DeepSeek's additions, and some of our own.

A field that is not listed is refused; `IGNORED` ones are taken and mean nothing here.
"""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, JsonValue, model_validator

IGNORED = frozenset(
    {
        "user",
        "metadata",
        "store",
        "service_tier",
        "safety_identifier",
        "prompt_cache_key",
        "verbosity",
        "prediction",
    }
)
MAX_STOPS = 16  # OpenAI allows 4; agents' frameworks send more
MAX_ANSWERS = 16


def _one_or_many(value: object) -> object:
    if value is None:
        return []
    return [value] if isinstance(value, str) else value


class Strict(BaseModel):
    """Frozen, and strict about names."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ClientBody(Strict):
    """The whole of what a client sends; null is the same as absent."""

    ignored: ClassVar[frozenset[str]] = IGNORED

    model: str

    @model_validator(mode="before")
    @classmethod
    def _drop_ignored(cls, fields: object) -> object:
        if not isinstance(fields, dict):
            return fields
        return {
            key: value
            for key, value in fields.items()
            if key not in cls.ignored and value is not None
        }


class StreamOptions(Strict):
    """Whether the last chunk tells the usage."""

    include_usage: bool = False
    include_obfuscation: bool = False


class Generation(ClientBody):
    """What the two endpoints that stream tokens take."""

    max_tokens: int | None = Field(default=None, ge=1)
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    top_k: int | None = Field(default=None, ge=-1)
    min_p: float | None = Field(default=None, ge=0, le=1)
    repetition_penalty: float | None = Field(default=None, gt=0, le=10)
    presence_penalty: float = Field(default=0, ge=-2, le=2)
    frequency_penalty: float = Field(default=0, ge=-2, le=2)
    logit_bias: dict[int, Annotated[float, Field(ge=-100, le=100)]] | None = None
    seed: int | None = None
    n: int = Field(default=1, ge=1, le=MAX_ANSWERS)
    stop: Annotated[list[str], BeforeValidator(_one_or_many), Field(max_length=MAX_STOPS)] = []
    stream: bool = False
    stream_options: StreamOptions | None = None
    ignore_eos: bool = False

    @property
    def includes_usage(self) -> bool:
        """Whether the stream ends with the usage."""
        return self.stream_options is not None and self.stream_options.include_usage


class Thinking(Strict):
    """DeepSeek's switch."""

    type: Literal["enabled", "disabled"]


class JsonSchemaFormat(Strict):
    """A named schema."""

    name: str = "answer"
    description: str | None = None
    schema_: JsonValue = Field(default_factory=dict, alias="schema")
    strict: bool | None = None


class ResponseFormat(Strict):
    """Free text, any JSON object, or what matches a schema."""

    type: Literal["text", "json_object", "json_schema"] = "text"
    json_schema: JsonSchemaFormat | None = None


class Function(Strict):
    """A tool's name and what it takes."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_.-]{1,64}$")
    description: str | None = None
    parameters: dict[str, JsonValue] = Field(default_factory=dict)
    strict: bool | None = None


class Tool(Strict):
    """Tools are functions."""

    type: Literal["function"] = "function"
    function: Function


class NamedFunction(Strict):
    """The name of a tool."""

    name: str


class NamedTool(Strict):
    """A tool that must be called."""

    type: Literal["function"] = "function"
    function: NamedFunction


class Message(BaseModel):
    """One message; keys beyond these go to the template as they are."""

    model_config = ConfigDict(frozen=True, extra="allow")

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[JsonValue] | None = None
    prefix: bool = False


class ChatRequest(Generation):
    """`POST /v1/chat/completions`."""

    messages: list[Message] = Field(min_length=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    logprobs: bool = False
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    tools: list[Tool] = []
    tool_choice: Literal["none", "auto", "required"] | NamedTool = "auto"
    parallel_tool_calls: bool = True
    response_format: ResponseFormat = ResponseFormat()
    thinking: Thinking | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    chat_template_kwargs: dict[str, JsonValue] = Field(default_factory=dict)


class CompletionRequest(Generation):
    """`POST /v1/completions`; `suffix` asks for what stands between."""

    prompt: str | list[int] | list[str] | list[list[int]]
    suffix: str | None = None
    echo: bool = False
    logprobs: int | None = Field(default=None, ge=0, le=20)
    best_of: Literal[1] = 1
