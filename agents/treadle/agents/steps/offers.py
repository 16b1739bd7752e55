"""A tool as an agent's model sees it: what the template leaves to the model, and nothing else.

Arguments that the template fixes, and those that decide where data goes unless the template lets
the model choose them, are not in the schema, and are refused when the model gives them all the
same.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from treadle.agents.steps.graph import Evaluable
from treadle.agents.values import JsonObject
from treadle.integrations.models import ToolSpec
from treadle.integrations.registry import AnyTool

LONGEST_NAME = 60  # the protocol allows 64; a number may follow


@dataclass(frozen=True, slots=True)
class Offer:
    """One entry of an agent's allow-list, compiled.

    Attributes:
        fixed: Arguments the template gives.
        needs_approval: Whether a person is asked before each call.
        field: Where the entry stands in its node: `with.tools[0]`.
        hosts: Those that the template names for its calls; `None`: any public one.
    """

    tool: AnyTool
    fixed: Mapping[str, Evaluable]
    connection: str | None
    needs_approval: bool
    field: str
    spec: ToolSpec
    hosts: frozenset[str] | None = None

    @property
    def chosen_by_model(self) -> frozenset[str]:
        """The arguments the model may give."""
        return frozenset(self.spec.parameters["properties"])


def offered(
    tool: AnyTool,
    *,
    fixed: Mapping[str, Evaluable],
    may_choose: Iterable[str],
    connection: str | None,
    needs_approval: bool,
    field: str,
) -> Offer:
    """An offer of one tool, under a name that is its own until `named_apart` is asked."""
    closed = fixed.keys() | (tool.destinations - set(may_choose))
    name = "".join(c if c.isalnum() or c in "_-" else "_" for c in tool.name)[:LONGEST_NAME]
    spec = ToolSpec(name, tool.description, _open_parameters(tool, closed))
    return Offer(tool, fixed, connection, needs_approval, field, spec)


def named_apart(offers: Iterable[Offer]) -> dict[str, Offer]:
    """The offers by the names the model uses; a second one of the same name gets a number."""
    named: dict[str, Offer] = {}
    for offer in offers:
        name, number = offer.spec.name, 1
        while name in named:
            number += 1
            name = f"{offer.spec.name}_{number}"
        named[name] = replace(offer, spec=replace(offer.spec, name=name))
    return named


def _open_parameters(tool: AnyTool, closed: Iterable[str]) -> JsonObject:
    schema: dict[str, Any] = tool.params.model_json_schema(
        by_alias=True
    )  # Any: JSON Schema is open
    hidden = set(closed)
    properties = schema.get("properties", {})
    schema["properties"] = {name: one for name, one in properties.items() if name not in hidden}
    required = [name for name in schema.pop("required", []) if name not in hidden]
    if required:
        schema["required"] = required
    schema["additionalProperties"] = False
    return schema
