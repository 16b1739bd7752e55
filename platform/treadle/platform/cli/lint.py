"""`treadle lint FILE`."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from treadle.agents.language import check_template
from treadle.integrations.registry import all_tools
from treadle.platform.cli.exits import Exit
from treadle.platform.cli.files import read_file
from treadle.platform.cli.printing import issue_lines, new_app, print_json

app = new_app()


@app.command()
def lint(
    file: Annotated[Path, typer.Argument(help="A template, YAML or JSON.")],
    *,
    json: Annotated[bool, typer.Option("--json", help="Print the issues as JSON.")] = False,
) -> None:
    """Check a template's file: all that is wrong or doubtful, without any service.

    Warnings alone are exit code 0.
    """
    issues = check_template(read_file(file), tools=all_tools())
    is_valid = all(issue.severity == "warning" for issue in issues)
    if json:
        print_json({"valid": is_valid, "issues": [asdict(issue) for issue in issues]})
    else:
        for line in issue_lines(str(file), issues):
            typer.echo(line)
    raise typer.Exit(Exit.GOOD if is_valid else Exit.FAILED)
