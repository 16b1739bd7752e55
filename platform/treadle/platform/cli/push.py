"""`treadle push FILE`."""

from pathlib import Path
from typing import Annotated

import typer

from treadle.agents.errors import TemplateInvalid
from treadle.agents.language import parse_template
from treadle.integrations.registry import all_tools
from treadle.platform.cli.exits import Exit
from treadle.platform.cli.files import read_template
from treadle.platform.cli.printing import issue_lines, new_app, print_json
from treadle.platform.cli.service import service

app = new_app()


@app.command()
def push(
    file: Annotated[Path, typer.Argument(help="A template, YAML or JSON.")],
    *,
    draft: Annotated[
        bool, typer.Option("--draft", help="Keep it as the draft, which may change.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Publish a template's file under its own name and version."""
    text = read_template(file)
    try:
        name = parse_template(text, tools=all_tools()).template.name
    except TemplateInvalid as error:
        for line in issue_lines(str(file), error.issues):
            typer.echo(line, err=True)
        raise typer.Exit(Exit.FAILED) from None
    with service(str(file)) as client:
        template = client.put_template(name, text, draft=draft)
    if json:
        print_json(template.model_dump(mode="json"))
    else:
        state = "kept as the draft" if draft else "published"
        typer.echo(f"{template.name} {template.version} is {state}")
