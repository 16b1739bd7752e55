"""Messages to a prompt, by the checkpoint's own chat template in a sandbox."""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NoReturn

from jinja2 import TemplateError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from pydantic import JsonValue

from treadle.model_runtime.errors import BadConfig, BadRequest
from treadle.model_runtime.tokenizer import Tokenizer

LONGEST_PROMPT = 10_000_000  # characters
# Messages, tools and the tokenizer's texts are never the client's to set through these.
RESERVED = frozenset({"messages", "tools", "bos_token", "eos_token", "add_generation_prompt"})
THINKING_OPENED = re.compile(r"<think>\s*$")


class ChatTemplate:
    """One checkpoint's template; it comes from the checkpoint, never from a client."""

    def __init__(self, source: str, tokenizer: Tokenizer, *, bos: str = "", eos: str = "") -> None:
        self.source = source
        self._tokenizer, self._texts = tokenizer, {"bos_token": bos, "eos_token": eos}
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True, lstrip_blocks=True, extensions=["jinja2.ext.loopcontrols"]
        )
        environment.filters["tojson"] = _to_json
        functions = {"raise_exception": _refuse, "strftime_now": _now}
        try:
            self._template = environment.from_string(source, globals=functions)
        except TemplateError as error:
            raise BadConfig(f"the chat template cannot be read: {error}") from error
        # A template that serialises arguments itself wants them parsed; others want the text.
        self._wants_objects = re.search(r"arguments\s*\|\s*tojson", source) is not None

    @property
    def knows_tools(self) -> bool:
        """Whether the template says anything about tools."""
        return "tools" in self.source or "tool_calls" in self.source

    def render(
        self,
        messages: Sequence[Mapping[str, JsonValue]],
        *,
        tools: Sequence[JsonValue] = (),
        options: Mapping[str, JsonValue] | None = None,
        continues: bool = False,
    ) -> str:
        """The prompt's text, with what users wrote quoted against control tokens.

        `continues` leaves the last message, the assistant's, open for the model to go on with.

        Raises:
            BadRequest: The template refuses the messages, or an option is reserved.
        """
        if taken := RESERVED & set(options or {}):
            raise BadRequest(
                f"chat_template_kwargs may not set {sorted(taken)[0]!r}",
                param="chat_template_kwargs",
            )
        prepared = [self._prepared(message) for message in messages]
        try:
            text = self._template.render(
                **self._texts,
                **(options or {}),
                messages=prepared,
                tools=[self._quoted(tool) for tool in tools] or None,
                add_generation_prompt=not continues,
            )
        except (TemplateError, TypeError, ValueError, OverflowError) as error:
            raise BadRequest(
                f"the chat template refuses these messages: {error}", param="messages"
            ) from error
        if len(text) > LONGEST_PROMPT:
            raise BadRequest(f"a prompt may have {LONGEST_PROMPT} characters", code="too_large")
        return _left_open(text, prepared[-1]) if continues else text

    def _prepared(self, message: Mapping[str, JsonValue]) -> dict[str, JsonValue]:
        """A message as templates expect it: developer is system, and content is one text."""
        found = {key: self._quoted(value) for key, value in message.items()}
        if found.get("role") == "developer":
            found["role"] = "system"
        if isinstance(content := found.get("content"), list):
            found["content"] = "".join(_text_of(part) for part in content)
        calls = found.get("tool_calls")
        if self._wants_objects and isinstance(calls, list):
            found["tool_calls"] = [_with_object(call) for call in calls]
        return found

    def _quoted(self, value: JsonValue) -> JsonValue:
        match value:
            case str():
                return self._tokenizer.quote(value)
            case list():
                return [self._quoted(item) for item in value]
            case dict():
                return {key: self._quoted(item) for key, item in value.items()}
            case _:
                return value


def opens_thinking(prompt: str) -> bool:
    """Whether the answer begins inside a reasoning that the prompt has opened."""
    return THINKING_OPENED.search(prompt) is not None


def _left_open(text: str, last: Mapping[str, JsonValue]) -> str:
    """Cut what the template puts behind the last message."""
    content = str(last.get("content") or "").strip()
    end = text.rfind(content)
    return text[: end + len(content)] if content and end >= 0 else text


def _text_of(part: JsonValue) -> str:
    if isinstance(part, dict) and part.get("type") == "text" and isinstance(part.get("text"), str):
        return str(part["text"])
    raise BadRequest("only parts of type 'text' are read here", param="messages")


def _with_object(call: JsonValue) -> JsonValue:
    """A tool call whose arguments are an object, not its JSON."""
    if not isinstance(call, dict) or not isinstance(function := call.get("function"), dict):
        return call
    if not isinstance(arguments := function.get("arguments"), str):
        return call
    try:
        parsed: JsonValue = json.loads(arguments)
    except ValueError:
        return call
    return {**call, "function": {**function, "arguments": parsed}}


def _to_json(value: object, indent: int | None = None, **_: object) -> str:
    """Without escapes for HTML and beyond ASCII, which models have never seen."""
    return json.dumps(value, ensure_ascii=False, indent=indent)


def _refuse(message: str) -> NoReturn:
    raise TemplateError(message)


def _now(layout: str) -> str:
    return datetime.now(UTC).strftime(layout)
