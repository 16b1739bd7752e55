"""What a run would need, before it runs: calls, steps, tokens, minutes, and whom it may reach.

Figures are ranges. Without history they are bounds that follow from the template and the inputs:
sizes of maps, caps of loops, attempts, timeouts, budgets. What nothing bounds has no upper end, and
`unknowns` says why. With finished runs the range is what those runs took.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from treadle.agents.language import Template
from treadle.agents.plan.bounds import Bounds
from treadle.agents.plan.manifest import Manifest, manifest_of
from treadle.agents.plan.ranges import Range
from treadle.agents.plan.tally import Tally
from treadle.agents.values import JsonValue
from treadle.integrations.registry import AnyTool


@dataclass(frozen=True, slots=True)
class Spent:
    """What one finished run took."""

    steps: int
    model_calls: int
    tokens: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run would need.

    Attributes:
        basis: Whether finished runs made the ranges, or the template alone; `calls` is always
            from the template.
        runs: How many finished runs that were.
        calls: By tool.
        unknowns: What makes an upper end missing.
    """

    basis: Literal["history", "template"]
    runs: int
    steps: Range
    model_calls: Range
    tokens: Range
    minutes: Range
    calls: Mapping[str, Range]
    unknowns: Sequence[str]
    manifest: Manifest


def make_plan(
    template: Template,
    tools: Mapping[str, AnyTool],
    *,
    inputs: Mapping[str, JsonValue],
    connections: Mapping[str, bool],
    history: Sequence[Spent] = (),
) -> Plan:
    """Plan a run; `inputs` are complete, as `validate_inputs` gives them."""
    known: dict[str, JsonValue] = {"inputs": dict(inputs), "connections": dict(connections)}
    tally = Bounds(template.defaults).body(template.nodes, known)
    plan = _from_template(template, tally, manifest_of(template, tools, inputs))
    return plan if not history else _from_history(plan, history)


def _from_template(template: Template, tally: Tally, manifest: Manifest) -> Plan:
    budget = template.budget
    wall = None if budget.wall is None else budget.wall.total_seconds()
    return Plan(
        basis="template",
        runs=0,
        steps=tally.steps.capped(budget.steps),
        model_calls=tally.model_calls.capped(budget.model_calls),
        tokens=tally.tokens.capped(budget.tokens),
        minutes=tally.seconds.capped(wall).times(Range(1 / 60, 1 / 60)),
        calls=dict(sorted(tally.calls.items())),
        unknowns=tuple(dict.fromkeys(tally.unknowns)),
        manifest=manifest,
    )


def _from_history(plan: Plan, history: Sequence[Spent]) -> Plan:
    return replace(
        plan,
        basis="history",
        runs=len(history),
        steps=Range.of([run.steps for run in history]),
        model_calls=Range.of([run.model_calls for run in history]),
        tokens=Range.of([run.tokens for run in history]),
        minutes=Range.of([run.seconds / 60 for run in history]),
    )


__all__ = ["Manifest", "Plan", "Range", "Spent", "make_plan", "manifest_of"]
