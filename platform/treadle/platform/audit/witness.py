"""Sees a call through and writes down what became of it."""

import json
from collections.abc import Mapping

import structlog
from fastapi import Request, Response

from treadle.agents.values import JsonValue
from treadle.platform.audit.chain import Chain, Deed
from treadle.platform.audit.repository import append_entry
from treadle.platform.auth.callers import Caller
from treadle.platform.db.database import Database, TenantConnection

LONGEST_OBJECT = 200


class Witness:
    """Writes entries for one installation."""

    def __init__(self, database: Database, chain: Chain) -> None:
        self._database = database
        self.chain = chain

    async def saw(
        self,
        request: Request,
        caller: Caller,
        response: Response,
        *,
        action: str,
        tx: TenantConnection | None,
    ) -> None:
        """Write what was done, in its own transaction if it is still open."""
        done = _object(request.path_params, response)
        deed = _deed(request, caller, action=action, done_to=done, result="ok")
        await self._append(caller, deed, tx)

    async def saw_denied(self, request: Request, caller: Caller, *, action: str) -> None:
        """Write what a key without the scope tried."""
        tried = _named(request.path_params)
        deed = _deed(request, caller, action=action, done_to=tried, result="denied")
        await self._append(caller, deed, None)

    async def _append(self, caller: Caller, deed: Deed, tx: TenantConnection | None) -> None:
        if tx is not None:
            await append_entry(tx, self.chain, caller.workspace, deed)
            return
        async with self._database.tenant(caller.workspace) as own:
            await append_entry(own, self.chain, caller.workspace, deed)


def _deed(request: Request, caller: Caller, *, action: str, done_to: str, result: str) -> Deed:
    return Deed(
        actor=caller.owner,
        key_id=caller.key_id,
        action=action,
        object=done_to[:LONGEST_OBJECT],
        ip="" if request.client is None else request.client.host,
        request_id=str(structlog.contextvars.get_contextvars().get("request_id", "")),
        result=result,
    )


def _object(path: Mapping[str, object], response: Response) -> str:
    """What the path names, else the id of what was made."""
    if path:
        return _named(path)
    made: JsonValue = None
    if response.media_type == "application/json" and response.body:
        made = json.loads(bytes(response.body))
    return str(made.get("id", "")) if isinstance(made, dict) else ""


def _named(path: Mapping[str, object]) -> str:
    return "/".join(str(value) for value in path.values())
