"""Writes docs/reference/ from the declarations of nodes and tools; --check only compares."""

import argparse
import inspect
import json
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeAlias, cast

from treadle.agents.nodes import NODE_TYPES
from treadle.agents.nodes.base import CallBase, ContainerBase, NodeBase, Part
from treadle.agents.nodes.child import ChildNode
from treadle.agents.nodes.tool import ToolNode
from treadle.integrations.base import Effect
from treadle.integrations.registry import AnyTool, all_tools

FOLDER = Path(__file__).parent.parent / "docs" / "reference"
MADE = "Made from the declarations by `make docs`; do not edit.\n\n"
NODES_HEAD = (
    "# Node types\n\n" + MADE + "Any value may be an expression, `${{ … }}`, unless it shapes the"
    " graph. Unknown keys are errors.\n\n"
)
TOOLS_HEAD = (
    "# Tools\n\n" + MADE + "A tool is a node (`use: web.search`), an agent's tool, and a form."
    " Its effect says what repeating a call means: `read` is repeated freely, `keyed` under the"
    " same key, `once` never.\n\n"
)
Schema: TypeAlias = Mapping[str, Any]  # Any: JSON Schema is open by definition

_WORDS = {
    "string": "text", "integer": "whole number", "number": "number", "boolean": "true or false",
    "object": "mapping", "null": "null", "array": "list",
}  # fmt: skip
MARKER = r"\$\{[{%]"  # the pattern of the alternative that stands for an expression
LONGEST_DEFAULT = 40
_NOTE = re.compile(r"^    (\w+): (.*(?:\n        .*)*)", re.MULTILINE)


def main() -> int:
    """Write the files, or compare them; 1 when one differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    is_check = parser.parse_args().check
    stale = [name for name, text in pages().items() if not _settle(name, text, is_check=is_check)]
    for name in stale:
        sys.stderr.write(f"docs/reference/{name} is not what is declared: run `make docs`\n")
    return 1 if stale else 0


def pages() -> dict[str, str]:
    """The text of every page by its name."""
    nodes: dict[str, type[Part]] = {
        **NODE_TYPES,
        "<integration>.<action>": ToolNode,
        "template:<name>": ChildNode,
    }
    kinds = "".join(_node(name, model) for name, model in nodes.items())
    tools = "".join(_tool(tool) for tool in all_tools().values())
    return {"nodes.md": NODES_HEAD + _common() + kinds, "tools.md": TOOLS_HEAD + tools}


def _settle(name: str, text: str, *, is_check: bool) -> bool:
    target = FOLDER / name
    if is_check:
        return target.exists() and target.read_text(encoding="utf-8") == text
    FOLDER.mkdir(parents=True, exist_ok=True)
    target.write_text(text, encoding="utf-8")
    return True


def _common() -> str:
    own = _keys(NodeBase)
    calls = [row for row in _keys(CallBase) if row not in own]
    containers = [row for row in _keys(ContainerBase) if row not in own]
    return (
        "## Keys of every node\n\n" + _table(own)
        + "\nOn `llm`, `agent`, `knowledge.search` and tools, where `timeout` is per attempt:\n\n"
        + _table(calls)
        + "\nOn `map`, `loop` and `switch`:\n\n" + _table(containers) + "\n"
    )  # fmt: skip


_BASES: tuple[type[Part], ...] = (NodeBase, CallBase, ContainerBase)


def _node(name: str, model: type[Part]) -> str:
    inherited = {row[0] for base in _BASES for row in _keys(base)}
    own = [row for row in _keys(model) if row[0] not in {*inherited, "`use`", "`with`", "`nodes`"}]
    text = f"## `{name}`\n\n{_summary(model)}\n\n"
    if own:
        text += "Keys of its own:\n\n" + _table(own) + "\n"
    field = model.model_fields.get("config")
    config: object = None if field is None else field.annotation
    if isinstance(config, type) and issubclass(config, Part):
        text += "In `with`:\n\n" + _table(_keys(config)) + "\n"
    return text


def _keys(model: type[Part]) -> list[tuple[str, str, str, str]]:
    """Name, what it takes, its default, and what the docstring says of it."""
    schema = opened(model.model_json_schema(by_alias=True))
    required = schema.get("required", [])
    notes = dict(_notes(model))
    names = {field.alias or name: name for name, field in model.model_fields.items()}
    return [
        (
            f"`{key}`",
            type_words(one, schema),
            default_words(one, is_required=key in required),
            notes.get(names[key], str(one.get("description", ""))),
        )
        for key, one in schema.get("properties", {}).items()
    ]


def _table(rows: list[tuple[str, str, str, str]]) -> str:
    return table(("key", "takes", "default", "meaning"), rows)


def _summary(model: type[Part]) -> str:
    return (inspect.getdoc(model) or "").split("\n\nAttributes:")[0]


def _notes(model: type[Part]) -> Iterator[tuple[str, str]]:
    """What the docstrings of a model and its bases say of single fields."""
    for owner in reversed(model.__mro__):
        _, _, attributes = (inspect.cleandoc(owner.__doc__ or "")).partition("Attributes:\n")
        for name, note in _NOTE.findall(attributes):
            yield name, " ".join(note.split())


def _tool(tool: AnyTool) -> str:
    facts = [f"effect `{tool.effect.value}`" if isinstance(tool.effect, Effect)
             else "effect by its arguments"]  # fmt: skip
    if tool.connection is not None:
        optional = " (optional)" if tool.connection_optional else ""
        facts.append(f"connection `{tool.connection}`{optional}")
    if tool.reads_untrusted:
        facts.append("reads what strangers wrote")
    if tool.reads_private:
        facts.append("reads what the account holds")
    if tool.is_outward:
        facts.append("sends its arguments out")
    if tool.is_trigger:
        facts.append("starts runs")
    return (
        f"## `{tool.name}`\n\n{tool.description}\n\n{'; '.join(facts).capitalize()}.\n\n"
        + _arguments(tool.params.model_json_schema(by_alias=True), tool.destinations)
        + "\nResult:\n\n"
        + _result(tool.result.model_json_schema(by_alias=True, mode="serialization"))
        + "\n"
    )


def _result(schema: Schema) -> str:
    fields = schema.get("properties", {}).items()
    rows = [(f"`{k}`", type_words(one, schema), one.get("description", "")) for k, one in fields]
    return table(("field", "type", "meaning"), rows)


def _arguments(schema: Schema, destinations: frozenset[str]) -> str:
    required = schema.get("required", [])
    rows = [
        (
            f"`{name}`",
            type_words(one, schema),
            default_words(one, is_required=name in required and "default" not in one),
            one.get("description", "")
            + (" Decides where data goes." if name in destinations else ""),
        )
        for name, one in schema.get("properties", {}).items()
    ]
    return table(("argument", "takes", "default", "meaning"), rows)


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table; empty without rows."""
    lines = [_row(row) for row in rows]
    titles = list(head)
    return "".join([_row(titles), _row(["---"] * len(titles)), *lines]) if lines else ""


def type_words(schema: object, root: Schema) -> str:
    """What a schema takes, in words."""
    if not isinstance(schema, Mapping):
        return "any value"
    part = cast("Schema", schema)  # what stands in a schema has no static type
    if "$ref" in part:
        return type_words(_pointed(str(part["$ref"]), root), root)
    options = part.get("anyOf") or part.get("oneOf")
    if options:
        words = (type_words(one, root) for one in options if one.get("pattern") != MARKER)
        named = dict.fromkeys(word for word in words if word != "null")
        return " or ".join(named) or "null"
    if "const" in part:
        return f"`{part['const']}`"
    if "enum" in part:
        return ", ".join(dict.fromkeys(f"`{_shown(one)}`" for one in part["enum"]))
    if part.get("type") == "array":
        return f"list of {type_words(part.get('items', {}), root)}"
    return _plain(part)


def default_words(schema: Schema, *, is_required: bool) -> str:
    """What stands where the key is missing."""
    if is_required:
        return "**required**"
    default: object = schema.get("default")
    if _is_empty(default):
        return ""
    shown = _shown(default)
    return f"`{shown}`" if len(shown) <= LONGEST_DEFAULT else ""


def _is_empty(default: object) -> bool:
    if isinstance(default, dict):
        return not any(cast("dict[str, object]", default).values())
    return default is None or default == []


def bounds(schema: Schema) -> str:
    """Smallest and largest, if there are any."""
    smallest = schema.get("minimum", schema.get("minLength", schema.get("minItems")))
    largest = schema.get("maximum", schema.get("maxLength", schema.get("maxItems")))
    if smallest is None and largest is None:
        return ""
    return f" ({'' if smallest is None else smallest}–{'' if largest is None else largest})"


def _plain(part: Schema) -> str:
    kinds: object = part.get("type")
    if isinstance(kinds, list):
        several = cast("list[str]", kinds)
        return " or ".join(_WORDS.get(kind, kind) for kind in several)
    if part.get("properties"):
        return f"`{{{', '.join(part['properties'])}}}`"
    return _WORDS.get(str(kinds), "any value") + bounds(part)


def opened(schema: Schema) -> Schema:
    """A schema that refers to itself, with its own keys at the top."""
    if "$ref" not in schema:
        return schema
    found = cast("Schema", _pointed(str(schema["$ref"]), schema))
    return {**found, "$defs": schema.get("$defs", {})}


def _pointed(reference: str, root: Schema) -> object:
    found: Any = root
    for step in reference.removeprefix("#/").split("/"):
        found = found.get(step.replace("~1", "/").replace("~0", "~"), {})
    return found


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _row(cells: Iterable[str]) -> str:
    escaped = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(escaped)} |\n"


if __name__ == "__main__":
    sys.exit(main())
