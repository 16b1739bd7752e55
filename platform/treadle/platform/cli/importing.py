"""`treadle import FILE`."""

from pathlib import Path
from typing import Annotated

import typer

from treadle.agents.importing import ImportFailed, import_workflow
from treadle.agents.language import check_template
from treadle.integrations.registry import all_tools
from treadle.platform.cli.exits import Exit
from treadle.platform.cli.files import read_template
from treadle.platform.cli.printing import fail, issue_lines, new_app

app = new_app()


@app.command("import")
def import_file(
    file: Annotated[Path, typer.Argument(help="A Dify DSL file, or an n8n workflow.")],
    *,
    output: Annotated[
        Path | None, typer.Option("-o", "--output", metavar="FILE", help="Write it here.")
    ] = None,
) -> None:
    """Turn a workflow of another program into a template, printed or written to a file.

    Comments in it say what could not be carried over; `treadle test` runs it.
    """
    try:
        text = import_workflow(read_template(file))
    except ImportFailed as error:
        raise fail(f"{file}: {error}") from None
    if output is None:
        typer.echo(text, nl=False)
    else:
        _write(output, text)
    issues = check_template(text, tools=all_tools())
    for line in issue_lines(str(output or "template"), issues):
        typer.echo(line, err=True)
    left = text.count("NOT CARRIED OVER")
    if left:
        typer.echo(f"treadle: {left} things could not be carried over; see the comments", err=True)
    is_valid = all(issue.severity == "warning" for issue in issues)
    raise typer.Exit(Exit.GOOD if is_valid else Exit.FAILED)


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise fail(f"{path}: {error.strerror}", code=Exit.USAGE) from None
