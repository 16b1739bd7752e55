"""Workspaces and first keys, made by who holds the database: the supervisor and the CLI."""

from datetime import timedelta
from pathlib import Path
from uuid import UUID

from treadle.platform.auth.callers import KeyRing
from treadle.platform.auth.repository import has_keys
from treadle.platform.auth.scopes import ALL_SCOPES, Scope
from treadle.platform.auth.service import create_key, rotate_key
from treadle.platform.auth.tokens import ApiKey
from treadle.platform.db.database import Database, TenantConnection
from treadle.platform.db.ids import WorkspaceId, new_id
from treadle.platform.errors import NotFound, Unauthenticated
from treadle.platform.installation import installation_secret, write_private
from treadle.platform.log import get_log
from treadle.platform.members.repository import adopt_keys
from treadle.platform.members.service import ensure_owner
from treadle.platform.settings import Settings
from treadle.platform.workspaces.repository import (
    find_workspace,
    insert_workspace,
    lock_creation,
)

FIRST_WORKSPACE = "default"
ADMIN_KEY_FILE = "admin.key"

log = get_log(__name__)


async def bootstrap(database: Database, settings: Settings) -> Path:
    """Make the first workspace and its admin key, kept in HOME/admin.key, where they are missing.

    A key that was deleted on purpose is not made again as long as the workspace has others.
    """
    ring = KeyRing(database, installation_secret(settings))
    path = settings.home / ADMIN_KEY_FILE
    workspace = await find_workspace(database, FIRST_WORKSPACE)
    if workspace is not None and path.exists():
        if await _is_known(ring, path):
            return path
        async with database.tenant(workspace) as connection:
            if await has_keys(connection):
                log.warning("bootstrap.admin_key_unknown", path=str(path))
                return path
    key = await _make_key(
        database,
        ring,
        FIRST_WORKSPACE,
        name="admin",
        scopes=ALL_SCOPES,
        owner=settings.owner_email,
    )
    write_private(path, key)
    return path


async def create_workspace_key(
    database: Database,
    settings: Settings,
    *,
    workspace: str = FIRST_WORKSPACE,
    scopes: frozenset[Scope] = ALL_SCOPES,
    name: str = "cli",
) -> ApiKey:
    """Make a key for a workspace, which is made too if it is new. For `treadle keys create`."""
    ring = KeyRing(database, installation_secret(settings))
    return await _make_key(
        database, ring, workspace, name=name, scopes=scopes, owner=settings.owner_email
    )


async def rotate_workspace_key(
    database: Database,
    settings: Settings,
    *,
    workspace: str = FIRST_WORKSPACE,
    key_id: UUID | None = None,
    grace: timedelta = timedelta(),
) -> ApiKey:
    """Put a new key in the place of one; without an id, of the admin key under HOME.

    Raises `NotFound`, and `Unauthenticated` if HOME's key is none of this database.
    """
    ring = KeyRing(database, installation_secret(settings))
    path = settings.home / ADMIN_KEY_FILE
    if key_id is None:
        caller = await ring.authenticate(f"Bearer {_kept_key(path)}")
        async with database.tenant(caller.workspace) as connection:
            _, key = await rotate_key(connection, ring, caller.key_id, grace=grace)
            write_private(path, key)
        return key
    found = await find_workspace(database, workspace)
    if found is None:
        raise NotFound("workspace", workspace)
    async with database.tenant(found) as connection:
        _, key = await rotate_key(connection, ring, key_id, grace=grace)
    return key


async def _make_key(
    database: Database,
    ring: KeyRing,
    workspace_name: str,
    *,
    name: str,
    scopes: frozenset[Scope],
    owner: str,
) -> ApiKey:
    workspace = await _ensure_workspace(database, workspace_name)
    async with database.tenant(workspace) as connection:
        await lock_creation(connection)
        member = await ensure_owner(connection, owner)
        await adopt_keys(connection, member.id)
        _, key = await create_key(connection, ring, name=name, scopes=scopes, member=member)
    return key


async def _ensure_workspace(database: Database, name: str) -> WorkspaceId:
    found = await find_workspace(database, name)
    if found is not None:
        return found
    fresh = WorkspaceId(new_id())
    async with database.tenant(fresh) as connection:
        await lock_creation(connection)
        return await _insert_unless_made(database, connection, fresh, name)


async def _insert_unless_made(
    database: Database, connection: TenantConnection, fresh: WorkspaceId, name: str
) -> WorkspaceId:
    made_meanwhile = await find_workspace(database, name)
    if made_meanwhile is not None:
        return made_meanwhile
    await insert_workspace(connection, fresh, name=name)
    return fresh


async def _is_known(ring: KeyRing, path: Path) -> bool:
    try:
        await ring.authenticate(f"Bearer {_kept_key(path)}")
    except Unauthenticated:
        return False
    return True


def _kept_key(path: Path) -> str:
    return path.read_text(encoding="ascii").strip()
