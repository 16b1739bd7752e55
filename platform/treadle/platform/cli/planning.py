"""`treadle plan FILE|NAME`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from treadle.agents.errors import InputsInvalid
from treadle.agents.language import Template, declared_inputs, validate_inputs
from treadle.agents.plan import Plan, Range, make_plan
from treadle.agents.values import JsonObject
from treadle.integrations.registry import all_tools
from treadle.platform.cli.exits import Exit
from treadle.platform.cli.inputs import parse_inputs
from treadle.platform.cli.printing import fail, issue_lines, new_app, print_json
from treadle.platform.cli.sources import checked_template

app = new_app()


@app.command("plan")
def plan_run(
    template: Annotated[
        str, typer.Argument(metavar="FILE|NAME", help="A template's file, or its name.")
    ],
    *,
    inputs: Annotated[
        list[str] | None,
        typer.Option("-i", "--input", metavar="KEY=VALUE", help="An input; JSON unless it is text"),
    ] = None,
    connections: Annotated[
        list[str] | None, typer.Option("--connection", help="A connection that will be bound.")
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the plan as JSON.")] = False,
) -> None:
    """Say what a run would need: calls, tokens, minutes, and whom it may reach. Nothing runs."""
    checked = checked_template(template).template
    bound = set(connections or [])
    unknown = sorted(bound - checked.connections.keys())
    if unknown:
        raise fail(f"the template has no connection {unknown[0]!r}", code=Exit.USAGE)
    plan = make_plan(
        checked,
        all_tools(),
        inputs=_inputs(checked, inputs or []),
        connections={name: name in bound for name in checked.connections},
    )
    if json:
        print_json(asdict(plan))
    else:
        _print(plan)


def _inputs(template: Template, pairs: list[str]) -> JsonObject:
    schemas = {name: one.schema for name, one in declared_inputs(template).items()}
    given = parse_inputs(pairs, schemas, upload=lambda path: Path(path).name)
    try:
        return validate_inputs(template, given)
    except InputsInvalid as error:
        for line in issue_lines("inputs", error.issues):
            typer.echo(line, err=True)
        raise typer.Exit(Exit.USAGE) from None


def _print(plan: Plan) -> None:
    typer.echo(f"steps        {_shown(plan.steps)}")
    typer.echo(f"model calls  {_shown(plan.model_calls)}")
    typer.echo(f"tokens       {_shown(plan.tokens)}")
    typer.echo(f"minutes      {_shown(plan.minutes)}")
    for name, calls in plan.calls.items():
        typer.echo(f"calls        {name} {_shown(calls)}")
    for why in plan.unknowns:
        typer.echo(f"unknown      {why}")
    for reach in plan.manifest.reaches:
        hosts = ", ".join(reach.hosts) or "any host" * (reach.source in {"data", "model"})
        bound = f" with connection {reach.connection}" if reach.connection else ""
        typer.echo(f"reaches      {reach.node} ({reach.tool}): {hosts or '-'}"
                   f" [{reach.source}]{bound}")  # fmt: skip
    for model in plan.manifest.models:
        typer.echo(f"model        {model}")


def _shown(found: Range) -> str:
    high = "unknown" if found.high is None else _number(found.high)
    return high if found.high == found.low else f"{_number(found.low)} to {high}"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) else f"{value:,.1f}"
