"""`treadle keys create` and `treadle keys rotate`."""

import asyncio
from datetime import timedelta
from typing import Annotated
from uuid import UUID

import typer

from treadle.platform.auth.scopes import ALL_SCOPES, Scope
from treadle.platform.cli.exits import Exit
from treadle.platform.cli.printing import fail, new_app, print_json
from treadle.platform.db.database import Database
from treadle.platform.embedded.home import Home
from treadle.platform.errors import PlatformError
from treadle.platform.settings import Settings
from treadle.platform.supervisor.errors import NothingRuns
from treadle.platform.supervisor.record import read_record
from treadle.platform.workspaces.service import (
    FIRST_WORKSPACE,
    create_workspace_key,
    rotate_workspace_key,
)

app = new_app()


@app.callback()
def keys() -> None:
    """Make API keys, with the rights of who holds the database."""


@app.command()
def create(
    *,
    workspace: Annotated[str, typer.Option(help="Made too if it is new.")] = FIRST_WORKSPACE,
    scopes: Annotated[
        str | None, typer.Option(help="Comma list such as runs:read,runs:write; all by default.")
    ] = None,
    name: Annotated[str, typer.Option(help="What people know the key by.")] = "cli",
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Make a key and print it, this once."""
    settings = Settings()
    wanted = ALL_SCOPES if scopes is None else _parse(scopes)
    key = asyncio.run(_create(settings, workspace=workspace, scopes=wanted, name=name))
    if json:
        print_json({"key": key, "workspace": workspace, "scopes": sorted(wanted)})
    else:
        typer.echo(key)


@app.command()
def rotate(
    *,
    key: Annotated[
        UUID | None, typer.Option(help="Id of the key; by default the admin key under HOME.")
    ] = None,
    workspace: Annotated[str, typer.Option(help="Whose key it is.")] = FIRST_WORKSPACE,
    grace_minutes: Annotated[
        int, typer.Option(min=0, help="How long the old key works on; by default not at all.")
    ] = 0,
    json: Annotated[bool, typer.Option("--json", help="Print the answer as JSON.")] = False,
) -> None:
    """Put a new key in the place of one and print it; HOME/admin.key is written anew."""
    settings, grace = Settings(), timedelta(minutes=grace_minutes)
    made = asyncio.run(_rotate(settings, workspace=workspace, key_id=key, grace=grace))
    if json:
        print_json({"key": made, "workspace": workspace})
    else:
        typer.echo(made)


async def _rotate(
    settings: Settings, *, workspace: str, key_id: UUID | None, grace: timedelta
) -> str:
    database = Database(_database_url(settings), pool_size=2)
    try:
        return await rotate_workspace_key(
            database, settings, workspace=workspace, key_id=key_id, grace=grace
        )
    except (PlatformError, FileNotFoundError) as error:
        raise fail(str(error)) from error
    finally:
        await database.close()


async def _create(
    settings: Settings, *, workspace: str, scopes: frozenset[Scope], name: str
) -> str:
    database = Database(_database_url(settings), pool_size=2)
    try:
        return await create_workspace_key(
            database, settings, workspace=workspace, scopes=scopes, name=name
        )
    finally:
        await database.close()


def _database_url(settings: Settings) -> str:
    if settings.database_url is not None:
        return settings.database_url
    home = Home.at(settings.home)
    record = read_record(home)
    if record is None:
        raise NothingRuns(home.root)
    return record.database_url


def _parse(scopes: str) -> frozenset[Scope]:
    names = [name.strip() for name in scopes.split(",") if name.strip()]
    unknown = sorted(set(names) - set(Scope))
    if unknown:
        known = ", ".join(sorted(Scope))
        raise fail(f"no scope {unknown[0]!r}; there are {known}", code=Exit.USAGE)
    return frozenset(Scope(name) for name in names)
