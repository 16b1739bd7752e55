"""The service that a command talks to."""

from collections.abc import Generator
from contextlib import contextmanager

import typer

from treadle.platform.cli.exits import Exit
from treadle.platform.cli.printing import issue_lines
from treadle.platform.client import ApiError, Client, ClientError, local_endpoint
from treadle.platform.settings import Settings


@contextmanager
def service(source: str = "template") -> Generator[Client, None, None]:
    """Open a client by the settings; what it cannot do ends the command.

    Args:
        source: The file that issues in an answer are about.
    """
    endpoint = local_endpoint(Settings())
    with Client(endpoint.url, endpoint.key) as client:
        try:
            yield client
        except ClientError as error:
            issues = error.issues if isinstance(error, ApiError) else ()
            if len(issues) != 1:  # a single one says all that the error says, and more
                typer.echo(f"treadle: {error}{_advice(error)}", err=True)
            for line in issue_lines(source, issues):
                typer.echo(line, err=True)
            raise typer.Exit(Exit.FAILED) from None


def _advice(error: ClientError) -> str:
    is_unpublished = isinstance(error, ApiError) and error.code == "template_not_found"
    return "; name a file, or `treadle push` it first" if is_unpublished else ""
