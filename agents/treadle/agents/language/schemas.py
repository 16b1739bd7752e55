"""Checks the JSON Schemas written in a template: `inputs`, `schemas`, forms, llm's `schema`."""

from collections.abc import Iterator

from treadle.agents.language.findings import Findings, did_you_mean_or
from treadle.agents.language.json_schema import CHECKED_PER_PART, metaschema_faults, misfits
from treadle.agents.language.model import Template
from treadle.agents.language.patterns import WrongPattern, compile_pattern
from treadle.agents.language.scopes import Visit
from treadle.agents.nodes.agent import AgentNode
from treadle.agents.nodes.approval import ApprovalNode
from treadle.agents.nodes.fields import Path
from treadle.agents.nodes.llm import LlmNode
from treadle.agents.values import JsonObject, JsonValue

_PREFIX = "#/schemas/"
_REFUSED = {"$id", "$anchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary", "patternProperties",
            "unevaluatedProperties", "unevaluatedItems", "$defs", "definitions"}  # fmt: skip
_IN_PLACE = ("allOf", "anyOf", "oneOf")
_IN_PLACE_ONE = ("not", "if", "then", "else")
_MAPS_OF_SCHEMAS = {"properties", "dependentSchemas"}
_LISTS_OF_SCHEMAS = {"allOf", "anyOf", "oneOf", "prefixItems"}
_SCHEMAS = {"items", "additionalProperties", "not", "if", "then", "else", "contains",
            "propertyNames"}  # fmt: skip


_VALUES = {"default", "enum", "const", "examples"}
MOST_PARTS = 1_000  # each costs a tenth of a millisecond to check against the meta-schema


class SchemaCheck:
    """Checks the schemas of one template."""

    def __init__(self, template: Template, findings: Findings) -> None:
        self._schemas: JsonObject = dict(template.schemas)
        self._template = template
        self._parts = 0
        self._findings = findings

    def check(self, visits: list[Visit]) -> bool:
        """Check every schema, and that every default fits its own.

        Returns whether values can be checked against them: an unsound schema means nothing.
        """
        sound = [self._is_sound(one, ("schemas", key)) for key, one in self._schemas.items()]
        is_sound = all(sound) and not self._has_cycle()
        inline = [(path, one, self._is_sound(one, path)) for path, one in self._inline(visits)]
        for path, schema, is_one_sound in inline:
            if is_one_sound and is_sound:
                self._check_default(schema, path)
        return is_sound and all(is_one_sound for _, _, is_one_sound in inline)

    def _inline(self, visits: list[Visit]) -> Iterator[tuple[Path, JsonObject]]:
        for name, declared in self._template.inputs.items():
            yield ("inputs", name), declared.schema
        for visit in visits:
            match visit.node:
                case LlmNode() | AgentNode() if visit.node.config.output_schema is not None:
                    yield (*visit.path, "with", "schema"), visit.node.config.output_schema
                case ApprovalNode():
                    for name, declared in visit.node.config.form.items():
                        yield (*visit.path, "with", "form", name), declared.schema
                case _:
                    pass

    def _is_sound(self, schema: JsonValue, path: Path) -> bool:
        self._parts += _parts(schema)
        if self._parts > MOST_PARTS:
            message = f"the schemas of a template have at most {MOST_PARTS} parts in all"
            self._findings.error(path[:1], message)
            return False
        faults = metaschema_faults(schema)
        for fault in faults:
            self._findings.error((*path, *fault.path), f"wrong JSON Schema: {fault.message}")
        if faults or not isinstance(schema, dict):
            return not faults
        complaints = list(self._complaints(schema, path))
        for where, message, hint in complaints:
            self._findings.error(where, message, hint)
        return not complaints

    def _complaints(self, schema: JsonObject, path: Path) -> Iterator[tuple[Path, str, str | None]]:
        for where, part in subschemas(schema, path):
            for key in part.keys() & _REFUSED:
                hint = "Use properties and items; put what is shared under `schemas`."
                yield (*where, key), f"`{key}` is not supported in templates", hint
            pattern = part.get("pattern")
            if isinstance(pattern, str):
                try:
                    compile_pattern(pattern)
                except WrongPattern as error:
                    yield (*where, "pattern"), str(error), None
            reference = part.get("$ref")
            if isinstance(reference, str):
                yield from self._reference(reference, (*where, "$ref"))

    def _reference(self, reference: str, path: Path) -> Iterator[tuple[Path, str, str | None]]:
        name = reference.removeprefix(_PREFIX)
        if name == reference:
            hint = "Write #/schemas/<name>, and the schema under `schemas`."
            yield path, f"`$ref` leads nowhere: {reference[:80]!r}", hint
        elif name not in self._schemas:
            hint = did_you_mean_or(name, self._schemas, what="Schemas here")
            yield path, f"unknown schema `{name[:80]}`", hint

    def _has_cycle(self) -> bool:
        """Whether a schema is its own alternative, which would never end."""
        edges = {
            name: [ref.removeprefix(_PREFIX) for ref in in_place_references(schema)]
            for name, schema in self._schemas.items()
        }
        done: set[str] = set()
        found = False
        for start in edges:
            reached, left = set[str](), list(edges[start])
            while left:
                name = left.pop()
                if name == start:
                    message = f"the schema `{start}` refers to itself without end"
                    self._findings.error(("schemas", start), message)
                    found = True
                    break
                if name not in reached | done:
                    reached.add(name)
                    left.extend(edges.get(name, []))
            done.add(start)
        return found

    def _check_default(self, schema: JsonObject, path: Path) -> None:
        if "default" not in schema:
            return
        found = misfits(schema["default"], schema, self._schemas, work_per_part=CHECKED_PER_PART)
        for fault in found:
            message = f"the default does not fit its own schema: {fault.message}"
            self._findings.error((*path, "default", *fault.path), message)


def _parts(schema: JsonValue) -> int:
    """Mappings in a schema; values such as `default` are no parts of it."""
    match schema:
        case dict():
            return 1 + sum(_parts(one) for key, one in schema.items() if key not in _VALUES)
        case list():
            return sum(map(_parts, schema))
        case _:
            return 0


def subschemas(schema: JsonValue, path: Path) -> Iterator[tuple[Path, JsonObject]]:
    """A schema and every schema inside it; values such as `default` and `enum` are none."""
    if not isinstance(schema, dict):
        return
    yield path, schema
    for key, item in schema.items():
        if key in _SCHEMAS:
            yield from subschemas(item, (*path, key))
        elif key in _MAPS_OF_SCHEMAS and isinstance(item, dict):
            for name, inner in item.items():
                yield from subschemas(inner, (*path, key, name))
        elif key in _LISTS_OF_SCHEMAS and isinstance(item, list):
            for index, inner in enumerate(item):
                yield from subschemas(inner, (*path, key, index))


def in_place_references(schema: JsonValue) -> Iterator[str]:
    """The `$ref`s that apply to the very value the schema applies to."""
    if not isinstance(schema, dict):
        return
    reference = schema.get("$ref")
    if isinstance(reference, str):
        yield reference
    for key in _IN_PLACE_ONE:
        yield from in_place_references(schema.get(key))
    for key in _IN_PLACE:
        options = schema.get(key)
        for option in options if isinstance(options, list) else []:
            yield from in_place_references(option)
