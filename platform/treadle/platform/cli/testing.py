"""`treadle test FILE|NAME`."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from treadle.agents.cassettes import Cassette, CassetteInvalid
from treadle.agents.cassettes.comparison import Replay
from treadle.agents.cassettes.replaying import replay
from treadle.agents.language import Template
from treadle.agents.testing import Report, Verdict, junit_xml, run_tests
from treadle.integrations.registry import all_tools
from treadle.platform.cli.exits import Exit
from treadle.platform.cli.files import read_file
from treadle.platform.cli.printing import fail, new_app, print_json
from treadle.platform.cli.sources import checked_template

app = new_app()


@app.command("test")
def try_template(
    template: Annotated[
        str, typer.Argument(metavar="FILE|NAME", help="A template's file, or its name.")
    ],
    *,
    junit: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write the results as JUnit XML, too.")
    ] = None,
    cassette: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Replay a recorded run instead, and tell what differs."),
    ] = None,
    json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Run a template's own tests: no network, no model, no waiting.

    A template without tests fails. With a cassette the exit code is 1 where anything differs.
    """
    source = checked_template(template)
    if cassette is not None:
        _replay(source.template, cassette, junit=junit, json=json)
        return
    report = asyncio.run(run_tests(source.template, all_tools()))
    if junit is not None:
        _write(junit, junit_xml([report]))
    if json:
        print_json({**asdict(report), "passed": report.is_passed})
    else:
        _print(report)
    raise typer.Exit(Exit.GOOD if report.is_passed else Exit.FAILED)


def _replay(template: Template, file: Path, *, junit: Path | None, json: bool) -> None:
    try:
        made = asyncio.run(replay(Cassette.read(read_file(file)), template, all_tools()))
    except CassetteInvalid as error:
        raise fail(f"{file}: {error}") from None
    report = made.report()
    if junit is not None:
        _write(junit, junit_xml([report]))
    if json:
        print_json({**asdict(made), "same": made.is_same})
    else:
        _print_replay(made, report)
    raise typer.Exit(Exit.GOOD if made.is_same else Exit.FAILED)


def _print_replay(made: Replay, report: Report) -> None:
    for verdict in report.verdicts:
        if not verdict.is_passed:
            typer.echo(f"differs {verdict.name}")
            for line in _lines(verdict):
                typer.echo(f"         {line}")
    same = len(report.verdicts) - report.failed
    versions = made.after if made.before == made.after else f"{made.before} → {made.after}"
    typer.echo(f"{made.template} {versions}: {same} the same, {report.failed} differ")


def _print(report: Report) -> None:
    for verdict in report.verdicts:
        typer.echo(f"{'ok    ' if verdict.is_passed else 'FAILED'} {verdict.name}")
        for line in _lines(verdict):
            typer.echo(f"         {line}")
    name = f"{report.template} {report.version}"
    if not report.verdicts:
        typer.echo(f"{name} has no tests; add some under `tests:`")
        return
    passed = len(report.verdicts) - report.failed
    seconds = sum(verdict.seconds for verdict in report.verdicts)
    typer.echo(f"{name}: {passed} passed, {report.failed} failed in {seconds:.2f} s")


def _lines(verdict: Verdict) -> list[str]:
    lines: list[str] = []
    for problem in verdict.problems:
        lines.append(problem.title)
        lines += [f"  {line}" for line in problem.lines]
    return lines


def _write(path: Path, content: bytes) -> None:
    try:
        path.write_bytes(content)
    except OSError as error:
        raise fail(f"{path}: {error.strerror}", code=Exit.USAGE) from None
