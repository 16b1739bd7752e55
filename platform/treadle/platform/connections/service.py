"""Making connections, and opening them for a tool call."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from uuid import UUID

from pydantic import SecretStr

from treadle.integrations.egress.credentials import DEFAULT_HEADER
from treadle.platform.auth.callers import Caller
from treadle.platform.connections.repository import (
    ConnectionRecord,
    SecretRecord,
    get_connection,
    get_secret,
    insert_connection,
    insert_secret,
)
from treadle.platform.connections.schemas import HttpConfig, NewHttpConnection
from treadle.platform.connections.vault import Place, Vault
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import WorkspaceId, new_id

_SECRET = "secret"  # noqa: S105 - the field's name


@dataclass(frozen=True, slots=True)
class OpenedHttp:
    """An http connection with its secret, for the egress layer only.

    Attributes:
        hosts: As `HostPattern` reads them; the secret goes nowhere else.
        header: The header's name where `auth` is `header`.
    """

    id: UUID
    auth: Literal["bearer", "header", "basic"]
    secret: SecretStr
    hosts: tuple[str, ...]
    header: str


async def create_connection(
    tx: TenantConnection, vault: Vault, caller: Caller, new: NewHttpConnection
) -> ConnectionRecord:
    """Store a connection with its secret sealed; raises `ConnectionExists`."""
    record = ConnectionRecord(
        id=new_id(),
        name=new.name,
        type=new.type,
        config=HttpConfig(auth=new.auth, hosts=new.hosts, header=new.header),
        created_at=datetime.now(UTC),
    )
    await insert_connection(tx, record, created_by=caller.key_id)
    place = Place(caller.workspace, record.id, _SECRET, version=1)
    sealed = vault.seal(new.secret.get_secret_value(), place)
    await insert_secret(tx, record.id, field=_SECRET, record=SecretRecord(1, sealed))
    return record


async def open_connection(
    tx: TenantConnection, vault: Vault, workspace: WorkspaceId, connection: UUID
) -> OpenedHttp:
    """Read a connection with its secret; raises `NotFound` or `SecretUnreadable`."""
    record = await get_connection(tx, connection)
    stored = await get_secret(tx, connection, field=_SECRET)
    place = Place(workspace, connection, _SECRET, stored.version)
    return OpenedHttp(
        id=record.id,
        auth=record.config.auth,
        secret=SecretStr(vault.open(stored.sealed, place)),
        hosts=tuple(record.config.hosts),
        header=record.config.header or DEFAULT_HEADER,
    )
