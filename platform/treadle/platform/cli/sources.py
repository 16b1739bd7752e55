"""A template named on the command line: a file, or a name that the service or Treadle knows."""

from http import HTTPStatus
from pathlib import Path

import typer

from treadle.agents.errors import TemplateInvalid
from treadle.agents.language import CheckedTemplate, parse_template
from treadle.integrations.registry import all_tools
from treadle.platform.cli.exits import Exit
from treadle.platform.cli.files import is_file_name, read_template
from treadle.platform.cli.printing import fail, issue_lines
from treadle.platform.client import ApiError, Client, ClientError, local_endpoint
from treadle.platform.settings import Settings
from treadle.platform.templates.library import bundled_files


def checked_template(named: str) -> CheckedTemplate:
    """Read and check a template; what is wrong with it ends the command.

    A name means the service's template, and without a service the one that comes with Treadle.
    """
    text = read_template(Path(named)) if is_file_name(named) else _known(named)
    try:
        return parse_template(text, tools=all_tools())
    except TemplateInvalid as error:
        for line in issue_lines(named, error.issues):
            typer.echo(line, err=True)
        raise typer.Exit(Exit.FAILED) from None


def _known(named: str) -> str:
    name, _, version = named.partition("@")
    return _of_service(name, version or None) or _bundled(named)


def _of_service(name: str, version: str | None) -> str | None:
    """The service's text; `None` where no service answers or it does not have it."""
    endpoint = local_endpoint(Settings())
    if endpoint.key is None:
        return None
    try:
        with Client(endpoint.url, endpoint.key) as client:
            return client.get_template(name, version=version).text
    except ApiError as error:
        if error.status is HTTPStatus.NOT_FOUND:
            return None
        raise fail(str(error)) from None
    except ClientError:
        return None


def _bundled(name: str) -> str:
    for file in bundled_files():
        if file.name == f"{name}.yaml":
            return file.read_text(encoding="utf-8")
    raise fail(f"no template {name!r}; name a file, or `treadle push` it first", code=Exit.USAGE)
