"""How commands print: findings as `file:line:column`, values as JSON, errors of the service."""

import json
from collections.abc import Generator, Iterable

import typer

from treadle.agents.errors import Issue
from treadle.platform.cli.exits import Exit


def new_app() -> typer.Typer:
    """Make the app of one command."""
    return typer.Typer(add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None)


def print_json(value: object) -> None:
    """Write a value for programs, to standard output."""
    typer.echo(json.dumps(value, ensure_ascii=False, indent=2))


def fail(message: str, *, code: Exit = Exit.FAILED) -> typer.Exit:
    """Write what went wrong; raise what is returned."""
    typer.echo(f"treadle: {message}", err=True)
    return typer.Exit(code)


def issue_lines(source: str, issues: Iterable[Issue]) -> Generator[str, None, None]:
    """Yield each issue in the form that editors and compilers share."""
    for issue in issues:
        where = ":".join(str(part) for part in (source, issue.line, issue.column) if part)
        path = f"{issue.path}: " if issue.path else ""
        hint = f" ({issue.hint})" if issue.hint else ""
        yield f"{where}: {issue.severity}: {path}{issue.message}{hint}"
