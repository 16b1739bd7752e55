"""Between our API and that of an endpoint behind it: fields, names, usage, errors."""

from collections.abc import Mapping
from http import HTTPStatus

from pydantic import JsonValue

from treadle.model_runtime.errors import BadRequest, Overloaded, RequestError, UpstreamFailed
from treadle.model_runtime.server.schemas import ChatRequest, CompletionRequest

Body = dict[str, JsonValue]

# What reaches our clients; engines add fields of their own, and some tell of their insides.
ANSWER = ("id", "object", "created", "choices", "usage")
CHOICE = ("index", "message", "delta", "text", "logprobs", "finish_reason")
MESSAGE = ("role", "content", "refusal", "tool_calls", "reasoning_content")
SWITCHES = ("thinking", "enable_thinking")  # templates know the one or the other
OWN_FIELDS = {"model", "stream", "stream_options", "thinking", "chat_template_kwargs"}


def request_body(body: ChatRequest | CompletionRequest, *, model: str, kind: str) -> Body:
    """What the endpoint is sent: only what the client has set, in the endpoint's words.

    Raises:
        BadRequest: A template variable that is none of the switches for reasoning.
    """
    sent: Body = body.model_dump(mode="json", by_alias=True, exclude_unset=True, exclude=OWN_FIELDS)
    sent["model"] = model
    if body.stream:
        sent |= {"stream": True, "stream_options": {"include_usage": True}}
    if isinstance(body, ChatRequest):
        _switch_thinking(body, sent, kind)
        _continue_last(body, sent, kind)
    return sent


def _switch_thinking(body: ChatRequest, sent: Body, kind: str) -> None:
    """Engines take template variables; a client may set the switches and nothing else there."""
    if unknown := sorted(set(body.chat_template_kwargs) - set(SWITCHES)):
        raise BadRequest(
            f"chat_template_kwargs may hold {' and '.join(SWITCHES)}, not {unknown[0]!r}",
            param="chat_template_kwargs",
        )
    stated = next(iter(body.chat_template_kwargs.values()), None)
    on = body.thinking.type == "enabled" if body.thinking else stated
    if on is None:
        return
    if kind == "remote":
        sent["thinking"] = {"type": "enabled" if on else "disabled"}
    else:
        sent["chat_template_kwargs"] = dict.fromkeys(SWITCHES, bool(on))


def _continue_last(body: ChatRequest, sent: Body, kind: str) -> None:
    """DeepSeek's `prefix: true`: the answer goes on where the last message ends."""
    if kind == "remote" or not body.messages[-1].prefix:
        return
    sent["messages"] = [
        message.model_dump(mode="json", exclude_unset=True, exclude={"prefix"})
        for message in body.messages
    ]
    sent["continue_final_message"] = True
    if kind == "vllm":
        sent["add_generation_prompt"] = False


def answer_body(answer: Mapping[str, JsonValue], *, name: str) -> Body:
    """An answer, or a chunk of one, as our own engine would have written it."""
    found: Body = {key: answer[key] for key in ANSWER if key in answer}
    found["model"] = name
    choices = answer.get("choices")
    found["choices"] = [_choice(choice) for choice in choices] if isinstance(choices, list) else []
    if isinstance(usage := answer.get("usage"), dict):
        found["usage"] = usage_body(usage)
    return found


def _choice(choice: JsonValue) -> JsonValue:
    if not isinstance(choice, dict):
        return choice
    found: Body = {key: choice[key] for key in CHOICE if key in choice}
    for part in ("message", "delta"):
        if isinstance(message := found.get(part), dict):
            found[part] = _message(message)
    return found


def _message(message: Body) -> JsonValue:
    """VLLM calls it `reasoning`, DeepSeek and SGLang `reasoning_content`."""
    named = {**message}
    thought = named.pop("reasoning", None) or named.get("reasoning_content")
    named["reasoning_content"] = thought
    named["tool_calls"] = named.get("tool_calls") or None
    return {
        key: named[key]
        for key in MESSAGE
        if named.get(key) is not None or (key == "content" and key in named)
    }


def usage_body(usage: Mapping[str, JsonValue]) -> JsonValue:
    """With DeepSeek's fields for what came out of the cache."""
    prompt, completion = _number(usage, "prompt_tokens"), _number(usage, "completion_tokens")
    cached = _number(_object(usage, "prompt_tokens_details"), "cached_tokens")
    cached = cached or _number(usage, "prompt_cache_hit_tokens")
    reasoning = _number(_object(usage, "completion_tokens_details"), "reasoning_tokens")
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "prompt_tokens_details": {"cached_tokens": cached},
        "completion_tokens_details": {
            "reasoning_tokens": reasoning or _number(usage, "reasoning_tokens")
        },
        "prompt_cache_hit_tokens": cached,
        "prompt_cache_miss_tokens": prompt - cached,
    }


def refusal(status: int, body: JsonValue, headers: Mapping[str, str], waiting: int) -> RequestError:
    """An endpoint's error as one of ours.

    What is wrong with the request is the client's; what is wrong with our key or our name for the
    model is not.
    """
    error = body if isinstance(body, dict) else {}
    inner = error.get("error")
    stated = inner if isinstance(inner, dict) else error
    message = stated.get("message")
    text = message if isinstance(message, str) else f"status {status}"
    param, code = stated.get("param"), stated.get("code")
    match status:
        case (
            HTTPStatus.BAD_REQUEST
            | HTTPStatus.UNPROCESSABLE_ENTITY
            | HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        ):
            return BadRequest(
                text,
                code=code if isinstance(code, str) and code else "invalid_value",
                param=param if isinstance(param, str) else None,
            )
        case HTTPStatus.TOO_MANY_REQUESTS:
            after = headers.get("retry-after", "")
            return Overloaded(waiting, retry_after_s=int(after) if after.isdigit() else 1)
        case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
            return UpstreamFailed(
                "the endpoint behind this server refuses the server's key; its operator can set "
                "TREADLE_RUNTIME_URL_KEY"
            )
        case _:
            return UpstreamFailed(f"the endpoint behind this server failed: {text}")


def _object(body: Mapping[str, JsonValue], key: str) -> Mapping[str, JsonValue]:
    found = body.get(key)
    return found if isinstance(found, dict) else {}


def _number(body: Mapping[str, JsonValue], key: str) -> int:
    found = body.get(key)
    return int(found) if isinstance(found, int | float) else 0
