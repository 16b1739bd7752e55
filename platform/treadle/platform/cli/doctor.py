"""`treadle doctor`."""

from dataclasses import asdict
from typing import Annotated

import typer

from treadle.platform.cli.exits import Exit
from treadle.platform.cli.printing import new_app, print_json
from treadle.platform.doctor.checks import examine
from treadle.platform.doctor.finding import Finding, State
from treadle.platform.settings import Settings

app = new_app()

_MARKS = {State.GOOD: "ok", State.WARNING: "warning", State.WRONG: "WRONG"}


@app.command()
def doctor(
    *,
    json: Annotated[bool, typer.Option("--json", help="Print the findings as JSON.")] = False,
) -> None:
    """Say what is wrong with this installation, and the mend. Warnings alone are exit code 0."""
    findings: list[Finding] = []
    for finding in examine(Settings()):
        findings.append(finding)
        if not json:
            typer.echo(_line(finding))
    if json:
        print_json([asdict(finding) for finding in findings])
    is_well = all(finding.state is not State.WRONG for finding in findings)
    raise typer.Exit(Exit.GOOD if is_well else Exit.FAILED)


def _line(finding: Finding) -> str:
    line = f"{_MARKS[finding.state]:<8} {finding.part:<10} {finding.message}"
    return line if finding.mend is None else f"{line}\n{'':<19} → {finding.mend}"
