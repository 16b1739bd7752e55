"""Tools: grammars that make a model call them, and words for a template that knows none."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from treadle.model_runtime.errors import BadRequest
from treadle.model_runtime.grammar import check_schema
from treadle.model_runtime.parse import END_THINK, CallFormat
from treadle.model_runtime.server.closing import closed
from treadle.model_runtime.server.schemas import ChatRequest, NamedTool, Tool
from treadle.model_runtime.tokenizer import Tokenizer

# llguidance's own keyword in a schema's root.
SPACING: JsonValue = {
    "whitespace_flexible": False,
    "item_separator": ", ",
    "key_separator": ": ",
}
NOTICE = """You can call these tools, described as JSON:
{tools}

To call one, answer with this and nothing else:
<tool_call>
{{"name": "the tool's name", "arguments": {{"its": "arguments"}}}}
</tool_call>"""


@dataclass(frozen=True, slots=True)
class Dialect:
    """How this model's answers are written: its calls, and control tokens by id."""

    tokenizer: Tokenizer
    calls: CallFormat | None
    thinking: bool

    def rules_for(self, body: ChatRequest) -> str | None:
        """Grammar rules that this request asks for; none if the answer is free.

        A reasoning that the prompt has opened comes first, and is free.

        Raises:
            BadRequest: A tool is called for that is not there, or a schema is too large.
        """
        chosen = _required(body)
        if chosen and self.calls is not None:
            rules = _call_rules(self.calls, chosen, self, repeated=body.parallel_tool_calls)
        elif (schema := _schema(body)) is not None:
            check_schema(schema)
            rules = f"answer: %json {_json_rule(schema)}"
        else:
            return None
        if not self.thinking:
            return f"start: answer\n{rules}"
        if self.tokenizer.id_of(END_THINK) is None:
            thought = r"thought[lazy]: /(.|\n)*<\/think>/"
            return f"start: thought answer\n{thought}\n{rules}"
        thought = "thought: /(.|\\n)*/"
        return f"start: thought {self.literal(END_THINK)} /\\n*/ answer\n{thought}\n{rules}"

    def literal(self, text: str) -> str:
        """A text as grammar symbols: control tokens by id, the rest as it is."""
        parts = self.tokenizer.split_at_controls(text)
        return " ".join(
            json.dumps(part) if number is None else f"<[{number}]>" for part, number in parts
        )


def _required(body: ChatRequest) -> Sequence[Tool]:
    """The tools of which one must be called."""
    match body.tool_choice:
        case "none" | "auto":
            return ()
        case "required":
            if not body.tools:
                raise BadRequest("tool_choice 'required' needs tools", param="tool_choice")
            return body.tools
        case NamedTool():
            name = body.tool_choice.function.name
            chosen = [tool for tool in body.tools if tool.function.name == name]
            if not chosen:
                raise BadRequest(f"no tool {name!r}", param="tool_choice")
            return chosen


def _schema(body: ChatRequest) -> JsonValue | None:
    match body.response_format.type:
        case "text":
            return None
        case "json_object":
            return {"type": "object"}
        case "json_schema":
            if body.response_format.json_schema is None:
                raise BadRequest("give json_schema", param="response_format")
            return body.response_format.json_schema.schema_


def _call_rules(
    calls: CallFormat, tools: Sequence[Tool], dialect: Dialect, *, repeated: bool
) -> str:
    """One call or several, each of one of the tools with arguments that fit its schema."""
    opens, closes, between = (
        dialect.literal(t) for t in (calls.opens, calls.closes, calls.between)
    )
    if calls.marked:
        opening, closing = opens, closes
    else:
        opening, closing = f'{opens} "\\n"', ""
    more = f"({between} call)*" if repeated else ""
    lines = [
        f"answer: {opening} call {more} {closing}",
        "call: " + " | ".join(f"call_{number}" for number in range(len(tools))),
    ]
    for number, tool in enumerate(tools):
        parameters: JsonValue = {"type": "object", **tool.function.parameters}
        check_schema(parameters)
        before = calls.begins + calls.prefix + tool.function.name
        counted = '":" /[0-9]{1,3}/' if calls.prefix == "functions." else ""
        lines.append(
            f"call_{number}: {dialect.literal(before)} {counted} "
            f"{dialect.literal(calls.separators[0])} %json {_json_rule(parameters)} "
            f"{dialect.literal(calls.ends[0])}"
        )
    return "\n".join(lines)


def _json_rule(schema: JsonValue) -> str:
    """The schema, with white space as models write it and no keys beside those it lists.

    Where they are free, a small model writes nothing else until its tokens are spent.
    """
    narrower = closed(schema)
    if not isinstance(narrower, dict):
        return json.dumps(narrower)
    return json.dumps({**narrower, "x-guidance": SPACING})


def in_words(
    messages: Sequence[Mapping[str, JsonValue]], tools: Sequence[JsonValue]
) -> list[dict[str, JsonValue]]:
    """Tools, calls and results as plain messages, for a template that knows only text."""
    told: list[dict[str, JsonValue]] = []
    if tools:
        listed = "\n".join(json.dumps(tool, ensure_ascii=False) for tool in tools)
        told.append({"role": "system", "content": NOTICE.format(tools=listed)})
    for message in messages:
        content = message.get("content") or ""
        if message.get("role") == "tool":
            told.append(
                {"role": "user", "content": f"<tool_response>\n{content}\n</tool_response>"}
            )
        elif isinstance(calls := message.get("tool_calls"), list) and calls:
            written = "\n".join(_written(call) for call in calls)
            told.append({"role": "assistant", "content": f"{content}{written}"})
        else:
            told.append({**message, "content": content})
    return told


def _written(call: JsonValue) -> str:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict):
        raise BadRequest("a tool call lacks its function", param="messages")
    name, arguments = json.dumps(function.get("name")), function.get("arguments") or "{}"
    return f'<tool_call>\n{{"name": {name}, "arguments": {arguments}}}\n</tool_call>'
