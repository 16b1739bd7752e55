"""The OpenAI chat protocol: a request as it is sent, an answer as it is read."""

import json
from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue

from treadle.integrations.models.calls import ChatRequest, JsonSchema, Message, ToolSpec
from treadle.integrations.models.endpoints import AnswerFormat, Endpoint

Body = dict[str, Any]  # Any: a JSON object that holds the template's schema


def request_body(
    request: ChatRequest,
    endpoint: Endpoint,
    *,
    model: str,
    answer_format: AnswerFormat,
    is_streamed: bool,
) -> Body:
    """The body of one call; what the request leaves open is left out."""
    body: Body = {"model": model, "messages": _messages(request, answer_format)}
    optional = {
        "temperature": request.temperature,
        "max_tokens": _max_tokens(request.max_tokens, endpoint.limits.max_tokens),
        "stop": list(request.stop) or None,
        "seed": request.seed,
    }
    body |= {name: value for name, value in optional.items() if value is not None}
    if endpoint.cache_key and request.cache_key is not None:
        body["prompt_cache_key"] = request.cache_key
    if request.tools:
        body["tools"] = [_tool(tool) for tool in request.tools]
    if request.schema is not None:
        body |= _response_format(request.schema, answer_format)
    if request.thinking != "auto":
        body |= _thinking(is_on=request.thinking == "on")
    if is_streamed:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    return body


def _max_tokens(wanted: int | None, limit: int | None) -> int | None:
    given = [number for number in (wanted, limit) if number is not None]
    return min(given, default=None)


def _tool(tool: ToolSpec) -> Body:
    described = {
        "name": tool.name,
        "description": tool.description,
        "parameters": dict(tool.parameters),
    }
    return {"type": "function", "function": described}


def _thinking(*, is_on: bool) -> Body:
    """DeepSeek's own switch, and the one that self-hosted engines pass to the chat template."""
    return {
        "thinking": {"type": "enabled" if is_on else "disabled"},
        "chat_template_kwargs": {"thinking": is_on},
    }


def _response_format(schema: JsonSchema, answer_format: AnswerFormat) -> Body:
    match answer_format:
        case "json_schema":
            described = {"name": "answer", "schema": schema, "strict": _can_be_strict(dict(schema))}
            return {"response_format": {"type": "json_schema", "json_schema": described}}
        case "json_object":
            return {"response_format": {"type": "json_object"}}
        case "none":
            return {}


def _can_be_strict(schema: JsonValue) -> bool:
    """Whether OpenAI takes a schema as strict: every object closed and all of it required."""
    if isinstance(schema, list):
        return all(_can_be_strict(item) for item in schema)
    if not isinstance(schema, dict):
        return True
    if schema.get("type") == "object" and not _is_closed(schema):
        return False
    return all(_can_be_strict(value) for value in schema.values())


def _is_closed(schema: dict[str, JsonValue]) -> bool:
    properties, required = schema.get("properties") or {}, schema.get("required") or []
    if not isinstance(properties, dict) or not isinstance(required, list):
        return False
    return schema.get("additionalProperties") is False and all(
        name in required for name in properties
    )


def _messages(request: ChatRequest, answer_format: AnswerFormat) -> list[Body]:
    messages = [_message(message) for message in request.messages]
    if request.schema is None or answer_format == "json_schema":
        return messages
    schema = json.dumps(request.schema, ensure_ascii=False)
    told = (
        f"Answer with one JSON value and nothing else. It must be valid for this schema:\n{schema}"
    )
    if messages and messages[0]["role"] == "system":
        first = messages[0] | {"content": f"{messages[0]['content']}\n\n{told}"}
        return [first, *messages[1:]]
    return [{"role": "system", "content": told}, *messages]


def _message(message: Message) -> Body:
    content: str | list[Body] = message.content
    if message.images:
        images = [{"type": "image_url", "image_url": {"url": url}} for url in message.images]
        content = [{"type": "text", "text": message.content}, *images]
    body: Body = {"role": message.role, "content": content}
    if message.tool_call_id is not None:
        body["tool_call_id"] = message.tool_call_id
    if message.tool_calls:
        body["tool_calls"] = [
            {
                "id": call.id,
                "type": "function",
                "function": {"name": call.name, "arguments": call.arguments},
            }
            for call in message.tool_calls
        ]
    return body


class _Lenient(BaseModel):
    """Servers add fields of their own and write null for what they do not have."""

    model_config = ConfigDict(extra="ignore")


class PromptDetails(_Lenient):
    """OpenAI's place for cached tokens."""

    cached_tokens: int | None = None


class WireUsage(_Lenient):
    """Tokens as servers count them."""

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_cache_hit_tokens: int | None = None
    prompt_tokens_details: PromptDetails | None = None

    @property
    def cached(self) -> int:
        """DeepSeek and OpenAI name it differently."""
        details = self.prompt_tokens_details
        return self.prompt_cache_hit_tokens or (details and details.cached_tokens) or 0


class WireFunction(_Lenient):
    """Name and arguments of a call; in a stream the arguments come in pieces."""

    name: str | None = None
    arguments: str | JsonValue = None


class WireToolCall(_Lenient):
    """A call, or a piece of the one at this index."""

    index: int | None = None
    id: str | None = None
    function: WireFunction | None = None


class WireText(_Lenient):
    """A message, or a piece of one. vLLM calls reasoning `reasoning`."""

    content: str | None = None
    tool_calls: list[WireToolCall] | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None

    @property
    def thought(self) -> str:
        """The reasoning, under either name."""
        return self.reasoning_content or self.reasoning or ""


class WireChoice(_Lenient):
    """The first, and for us the only one."""

    message: WireText | None = None
    delta: WireText | None = None
    finish_reason: str | None = None

    @property
    def text(self) -> WireText:
        """What it holds, whole or a piece."""
        return self.message or self.delta or WireText()


class WireError(_Lenient):
    """An error object, as a body or in the middle of a stream."""

    message: str | None = None
    type: str | None = None
    code: JsonValue = None


class WireAnswer(_Lenient):
    """A whole answer or one event of a stream."""

    choices: list[WireChoice] | None = None
    usage: WireUsage | None = None
    model: str | None = None
    error: WireError | str | None = None

    @property
    def choice(self) -> WireChoice | None:
        """The first choice; the event with the usage has none."""
        return self.choices[0] if self.choices else None
