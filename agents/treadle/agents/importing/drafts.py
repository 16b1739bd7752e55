"""A template in the making: nodes with remarks, branches as conditions, written as YAML."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import yaml
from typing_extensions import override

from treadle.agents.language.names import KEYWORDS, RESERVED
from treadle.agents.values import JsonObject, JsonValue

_NO_ID = re.compile(r"[^a-z0-9]+")
_LONGEST_ID = 40
_OUTSIDE: dict[str, JsonValue] = {
    "llm": "a text",
    "http.request": {"status": 200, "headers": {}, "body": "", "json": None},
    "knowledge.search": {"passages": []},
}


@dataclass(slots=True)
class Draft:
    """One node in the making.

    Attributes:
        body: Keys of the node; `use` first.
        remarks: What could not be carried over, as comments.
        branches: Conditions of the edges that lead here; `None` for one that always holds.
    """

    id: str
    body: JsonObject
    remarks: list[str] = field(default_factory=list[str])
    branches: list[str | None] = field(default_factory=list["str | None"])

    @property
    def is_conditional(self) -> bool:
        """Whether it may be skipped."""
        return bool(self.branches) and None not in self.branches

    def written(self) -> JsonObject:
        """The node, with the condition that its edges make."""
        if not self.is_conditional:
            return self.body
        found = dict.fromkeys(branch for branch in self.branches if branch is not None)
        use, *rest = self.body.items()
        return dict([use, ("when", " or ".join(found)), *rest])


@dataclass(slots=True)
class Workflow:
    """A template in the making."""

    name: str
    title: str
    source: str
    description: str = ""
    inputs: JsonObject = field(default_factory=dict[str, JsonValue])
    connections: JsonObject = field(default_factory=dict[str, JsonValue])
    triggers: list[JsonValue] = field(default_factory=list["JsonValue"])
    outputs: JsonObject = field(default_factory=dict[str, JsonValue])
    nodes: dict[str, Draft] = field(default_factory=dict[str, Draft])
    remarks: list[str] = field(default_factory=list[str])

    def text(self) -> str:
        """The template."""
        head = [f"# Imported from {self.source}. Read the comments: they say what is left to do."]
        head += [line for remark in self.remarks for line in _comment(remark)]
        top: JsonObject = {"treadle": 1, "name": self.name, "version": "0.1.0"}
        top["title"] = self.title
        if self.description:
            top["description"] = self.description
        for key in ("inputs", "connections"):
            declared: JsonObject = getattr(self, key)
            if declared:
                top[key] = declared
        parts = ["\n".join(head), _yaml(top), "nodes:"]
        parts += [_indented(draft) for draft in self.nodes.values()]
        rest: JsonObject = {"outputs": self.outputs} if self.outputs else {}
        if self.triggers:
            rest["triggers"] = self.triggers
        rest["tests"] = [self._test()]
        return "\n".join(part.rstrip("\n") for part in (*parts, _yaml(rest))) + "\n"

    def _test(self) -> JsonObject:
        mocks = {
            draft.id: _OUTSIDE[str(draft.body["use"])]
            for draft in self.nodes.values()
            if draft.body["use"] in _OUTSIDE
        }
        samples: JsonObject = {
            name: _sample(schema) for name, schema in self.inputs.items() if _is_required(schema)
        }
        test: JsonObject = {"name": "the import runs", "inputs": samples}
        if self.connections:
            test["connections"] = list(self.connections)
        return {**test, "mock": mocks, "expect": ["run.status == 'succeeded'"]}


def free_id(title: str, taken: Iterable[str], *, fallback: str) -> str:
    """An id that says what a title says, and is not taken."""
    base = _NO_ID.sub("_", title.lower()).strip("_")[:_LONGEST_ID] or fallback
    if not base[0].isalpha() or base in RESERVED | KEYWORDS:
        base = f"{fallback}_{base}"
    known, number, found = set(taken), 1, base
    while found in known:
        number += 1
        found = f"{base}_{number}"
    return found


def template_name(title: str) -> str:
    """A name that templates may have."""
    name = _NO_ID.sub("-", title.lower()).strip("-")[:60]
    return name if len(name) > 1 and name[0].isalpha() else f"imported-{name}".rstrip("-")


def placeholder(id_: str, why: str, fields: Iterable[str] = ()) -> Draft:
    """A node that gives null where something could not be carried over."""
    value: JsonValue = dict.fromkeys(fields) or None
    return Draft(id_, {"use": "set", "with": value}, [f"NOT CARRIED OVER: {why}"])


class _Dumper(yaml.SafeDumper):
    """Writes no aliases, which templates may not have."""

    @override
    def ignore_aliases(self, data: object) -> bool:
        return True


def _yaml(value: JsonObject) -> str:
    return yaml.dump(
        value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100,
        default_flow_style=False,
    )  # fmt: skip


def _indented(draft: Draft) -> str:
    lines = [line for remark in draft.remarks for line in _comment(remark)]
    lines += _yaml({draft.id: draft.written()}).rstrip("\n").split("\n")
    return "\n".join(f"  {line}" if line else line for line in lines)


def _comment(remark: str) -> list[str]:
    lines = "".join(char if char.isprintable() else "\n" for char in remark).split("\n")
    return [f"# {line}".rstrip() for line in lines]


def _is_required(schema: JsonValue) -> bool:
    return isinstance(schema, dict) and "default" not in schema and not schema.get("optional")


def _sample(schema: JsonValue) -> JsonValue:
    declared = schema if isinstance(schema, dict) else {}
    match declared:
        case {"enum": [first, *_]}:
            return first
        case {"type": "number"}:
            return 1
        case {"type": "boolean"}:
            return True
        case {"type": "array"}:
            return []
        case {"type": "object"}:
            return {}
        case _:
            return "a text"
