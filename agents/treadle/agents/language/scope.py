"""What an expression may read where it stands."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from treadle.agents.language.shapes import Described, Shape
from treadle.agents.nodes import Node
from treadle.agents.values import JsonObject, JsonValue
from treadle.integrations.registry import AnyTool


@dataclass(frozen=True, slots=True)
class World:
    """What all scopes of a template share."""

    tools: Mapping[str, AnyTool]
    schemas: JsonObject
    result_schemas: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])
    parameter_schemas: dict[str, JsonObject] = field(default_factory=dict[str, JsonObject])

    def described(self, schema: JsonValue) -> Shape:
        """A schema written in the template, whose `$ref`s mean `schemas`."""
        return Described(schema, {"schemas": self.schemas})

    def result_of(self, tool: AnyTool) -> Shape:
        """What a tool returns."""
        schema = self.result_schemas.get(tool.name)
        if schema is None:
            schema = tool.result.model_json_schema(mode="serialization")
            self.result_schemas[tool.name] = schema
        return Described(schema, schema)

    def parameters_of(self, tool: AnyTool) -> JsonObject:
        """What a tool takes, as a JSON Schema."""
        schema = self.parameter_schemas.get(tool.name)
        if schema is None:
            schema = tool.params.model_json_schema(by_alias=True)
            self.parameter_schemas[tool.name] = schema
        return schema


@dataclass(eq=False, slots=True)
class Scope:
    """Sibling nodes, the names that stand beside them, and everything outside.

    Attributes:
        nodes: The siblings that could be read.
        ids: The ids of all siblings, also of those that could not.
        names: Names other than node ids: `inputs`, `state`, the map's item.
        inner: Per container among the siblings, the scopes inside it.
        known: Shapes of siblings found so far.
    """

    world: World
    parent: "Scope | None"
    nodes: Mapping[str, Node]
    ids: frozenset[str]
    names: Mapping[str, Shape]
    inner: dict[str, list["Scope"]] = field(default_factory=dict[str, "list[Scope]"])
    known: dict[str, Shape] = field(default_factory=dict[str, Shape])

    def outward(self) -> "Iterator[Scope]":
        """This scope, then what is around it."""
        scope: Scope | None = self
        while scope is not None:
            yield scope
            scope = scope.parent

    def visible_ids(self) -> list[str]:
        """Every node id that can be read here."""
        return [name for scope in self.outward() for name in scope.ids]

    def visible(self) -> list[str]:
        """Every name that can be read here."""
        return [*self.visible_ids(), *(name for s in self.outward() for name in s.names)]

    def holder_of(self, name: str) -> "Scope | None":
        """The scope in which a name is known."""
        found = (s for s in self.outward() if name in s.ids or name in s.names)
        return next(found, None)

    def with_names(self, names: Mapping[str, Shape]) -> "Scope":
        """The same scope with more names."""
        return Scope(self.world, self, {}, frozenset(), names)
