"""`treadle run NAME|FILE`."""

import json as standard_json
import mimetypes
from pathlib import Path
from typing import Annotated

import typer
from pydantic import JsonValue
from rich.console import Console

from treadle.agents.errors import TemplateInvalid
from treadle.agents.language import declared_inputs, parse_template
from treadle.integrations.registry import all_tools
from treadle.platform.cli.exits import Exit
from treadle.platform.cli.files import is_file_name, read_template
from treadle.platform.cli.inputs import Schemas, parse_inputs
from treadle.platform.cli.printing import issue_lines, new_app, print_json
from treadle.platform.cli.progress import Progress
from treadle.platform.cli.service import service
from treadle.platform.client import Client, Run, calls

app = new_app()


@app.command()
def run(
    template: Annotated[
        str, typer.Argument(metavar="NAME|FILE", help="A template's name, name@range, or file.")
    ],
    *,
    inputs: Annotated[
        list[str] | None,
        typer.Option("-i", "--input", metavar="KEY=VALUE", help="An input; JSON unless it is text"),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(metavar="FOLDER", help="Save the artifacts here.")
    ] = None,
    cassette: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Record the run, redacted, for `treadle test`."),
    ] = None,
    follow: Annotated[
        bool, typer.Option("--follow", help="Show a run that goes on already: NAME is its id.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print the run as JSON, at its end.")
    ] = False,
) -> None:
    """Run a template through the service, show it live, and print what it made."""
    with service(template) as client:
        run_id = template if follow else _start(client, template, inputs or [])
        finished = _watch(client, run_id, is_quiet=json)
        _print(client, finished, as_json=json)
        if save is not None:
            _save(client, finished, save)
        if cassette is not None:
            _record(client, finished, cassette)
    raise typer.Exit(Exit.GOOD if finished.status == "succeeded" else Exit.FAILED)


def _start(client: Client, template: str, pairs: list[str]) -> str:
    if is_file_name(template):
        template = read_template(Path(template))
        schemas = _declared(template)
    else:
        name, _, version = template.partition("@")
        declared = client.get_template(name, version=version or None).inputs
        schemas = {key: one for key, one in declared.items() if isinstance(one, dict)}
    values = parse_inputs(pairs, schemas, upload=lambda path: _upload(client, path))
    return client.create_run(template, values).id


def _declared(text: str) -> Schemas:
    """Return the inputs that a file declares; one that is wrong ends the command."""
    try:
        template = parse_template(text, tools=all_tools()).template
    except TemplateInvalid as error:
        for line in issue_lines("template", error.issues):
            typer.echo(line, err=True)
        raise typer.Exit(Exit.FAILED) from None
    return {name: one.schema for name, one in declared_inputs(template).items()}


def _upload(client: Client, path: Path) -> str:
    media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
    return client.upload_file(path.name, path.read_bytes(), media_type=media_type).id


def _watch(client: Client, run_id: str, *, is_quiet: bool) -> Run:
    """Follow a run to its end; Ctrl-C leaves it."""
    console = Console(stderr=True, quiet=is_quiet)
    try:
        with Progress(console, title=f"run {run_id}") as progress:
            for event in client.events(run_id):
                progress.take(event)
        return client.get_run(run_id)
    except KeyboardInterrupt:
        typer.echo(
            f"treadle: run {run_id} goes on; `treadle run --follow {run_id}` shows it again",
            err=True,
        )
        raise typer.Exit(Exit.INTERRUPTED) from None


def _print(client: Client, run: Run, *, as_json: bool) -> None:
    artifacts = list(client.each(calls.list_artifacts(run.id)))
    if as_json:
        files: list[JsonValue] = [one.model_dump(mode="json") for one in artifacts]
        print_json({**run.model_dump(mode="json", by_alias=True), "artifacts": files})
        return
    typer.echo(f"{run.status}: {run.template} {run.version or ''}".rstrip())
    if run.error is not None:
        where = f"{run.error.path}: " if run.error.path else ""
        typer.echo(f"  {where}{run.error.message} ({run.error.error_class}, {run.error.code})")
    for name, value in (run.outputs or {}).items():
        text = value if isinstance(value, str) else standard_json.dumps(value, ensure_ascii=False)
        typer.echo(f"{name}: {text}")
    for one in artifacts:
        typer.echo(f"artifact {one.name} ({one.media_type}, {one.size} bytes): {one.id}")


def _record(client: Client, run: Run, path: Path) -> None:
    path.write_bytes(client.get_cassette(run.id))
    typer.echo(f"recorded {path}", err=True)


def _save(client: Client, run: Run, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for one in client.each(calls.list_artifacts(run.id)):
        # Only the last part of the name: a run must not choose where it writes.
        path = folder / Path(one.name).name
        path.write_bytes(client.get_artifact(one.id))
        typer.echo(f"saved {path}", err=True)
