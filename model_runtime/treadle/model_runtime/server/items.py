"""The items that `/v1/responses` takes, as the messages of a chat."""

from collections.abc import Sequence

from pydantic import JsonValue

from treadle.model_runtime.errors import BadRequest

TEXTS = frozenset({"input_text", "output_text", "text"})
ROLES = frozenset({"system", "developer", "user", "assistant"})


def messages_of(given: str | Sequence[dict[str, JsonValue]]) -> list[JsonValue]:
    """Messages that say the same.

    Raises:
        BadRequest: An item is of a kind that is not served, or lacks a part.
    """
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    messages: list[dict[str, JsonValue]] = []
    for number, item in enumerate(given):
        _add(messages, item, f"input.{number}")
    if not messages:
        raise BadRequest("the input is empty", param="input")
    return [*messages]


def _add(messages: list[dict[str, JsonValue]], item: dict[str, JsonValue], where: str) -> None:
    match item.get("type", "message"):
        case "message":
            role = item.get("role")
            if role not in ROLES:
                raise BadRequest(f"{where} needs a role", param=f"{where}.role")
            messages.append({"role": role, "content": _text(item.get("content"), where)})
        case "function_call":
            _add_call(messages, item, where)
        case "function_call_output":
            output = _text(item.get("output"), where)
            call = _needed(item, "call_id", where)
            messages.append({"role": "tool", "tool_call_id": call, "content": output})
        case "reasoning":
            pass  # templates leave earlier reasoning out
        case other:
            raise BadRequest(
                f"{where}: items of type {other!r} are not served",
                code="unsupported_value",
                param=where,
            )


def _add_call(messages: list[dict[str, JsonValue]], item: dict[str, JsonValue], where: str) -> None:
    """Calls in a row are one message's."""
    call: JsonValue = {
        "id": _needed(item, "call_id", where),
        "type": "function",
        "function": {
            "name": _needed(item, "name", where),
            "arguments": _needed(item, "arguments", where),
        },
    }
    last = messages[-1].get("tool_calls") if messages else None
    if isinstance(last, list):
        last.append(call)
    else:
        messages.append({"role": "assistant", "content": None, "tool_calls": [call]})


def _needed(item: dict[str, JsonValue], name: str, where: str) -> str:
    if not isinstance(value := item.get(name), str):
        raise BadRequest(f"{where} needs {name!r}", param=f"{where}.{name}")
    return value


def _text(content: JsonValue, where: str) -> str:
    """A text, or the texts of parts."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise BadRequest(f"{where} needs its content", param=f"{where}.content")
    return "".join(_part(part, where) for part in content)


def _part(part: JsonValue, where: str) -> str:
    if isinstance(part, dict) and part.get("type") in TEXTS and isinstance(part.get("text"), str):
        return str(part["text"])
    raise BadRequest(f"{where}: only parts of text are read here", param=f"{where}.content")
