"""From a signed request to a run. What was signed is recorded, also where it starts nothing."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from uuid import UUID

from starlette.exceptions import HTTPException

from treadle.agents.errors import ExpressionError, InputsInvalid, TemplateInvalid
from treadle.agents.expressions import compile_value
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.agents.repository import find_agents
from treadle.platform.connections.vault import Place, Vault
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.engine.acceptance import NewRun
from treadle.platform.hooks.errors import HookRefused, SignatureInvalid
from treadle.platform.hooks.repository import Hook, HookEvent, find_first, record_event
from treadle.platform.routing import read_json
from treadle.platform.runs.errors import NotRunnable
from treadle.platform.runs.launch import Launcher, Reason, insert_runs
from treadle.platform.schedules.firing import trigger_inputs
from treadle.platform.webhooks.signature import is_recent, is_signed

SECRET = "secret"  # noqa: S105 - the field's name in the vault
LONGEST_ID = 255
_UNSHOWN = frozenset({"authorization", "cookie", "webhook-signature"})


@dataclass(frozen=True, slots=True)
class Received:
    """What became of a request.

    Attributes:
        run: The run it started, or the first one of its kind did.
        refusal: Why there is none; to be raised once the record is committed.
    """

    event: UUID
    run: UUID | None
    is_repeated: bool = False
    refusal: HookRefused | None = None


@dataclass(frozen=True, slots=True)
class Reception:
    """A hook at work, in a transaction of its workspace."""

    tx: TenantConnection
    launcher: Launcher
    workspace: WorkspaceId
    hook: Hook

    async def receive(self, event: HookEvent) -> Received:
        """Start a run for an event, unless one was started for it before."""
        try:
            scope = event_scope(event)
            event = replace(event, dedupe=_dedupe_key(self.hook.dedupe, scope))
        except ExpressionError as error:
            return await self._refuse(event, HookRefused(str(error)))
        first = await find_first(self.tx, self.hook.id, event.message_id, event.dedupe)
        if first is not None:
            return Received(first.id, first.run_id, is_repeated=True)
        try:
            run = await self._prepare(scope)
        except InputsInvalid as error:
            return await self._refuse(event, HookRefused(str(error), list(error.issues)))
        except (ExpressionError, NotRunnable, TemplateInvalid) as error:
            return await self._refuse(event, HookRefused(str(error)))
        return await self._start(replace(event, run_id=run.id), run)

    async def _prepare(self, scope: JsonObject) -> NewRun:
        agent = (await find_agents(self.tx, [self.hook.agent_id]))[self.hook.agent_id]
        inputs = trigger_inputs(self.hook.inputs, scope)
        reason = Reason("webhook", created_by=None)
        return await self.launcher.prepare(self.tx, self.workspace, agent, inputs, reason)

    async def _start(self, event: HookEvent, run: NewRun) -> Received:
        if await record_event(self.tx, event):
            await insert_runs(self.tx, [run])
            return Received(event.id, run.id)
        # Another request with the same id was faster; it is committed by now.
        first = await find_first(self.tx, self.hook.id, event.message_id, event.dedupe)
        assert first is not None  # noqa: S101 - its row is what stood in the way
        return Received(first.id, first.run_id, is_repeated=True)

    async def _refuse(self, event: HookEvent, refusal: HookRefused) -> Received:
        await record_event(self.tx, replace(event, dedupe=None, error=refusal.message))
        return Received(event.id, None, refusal=refusal)


def require_signature(
    vault: Vault, workspace: WorkspaceId, hook: Hook, headers: Mapping[str, str], body: bytes, *,
    now: float,
) -> str:  # fmt: skip
    """Return the message's id; raises `SignatureInvalid`."""
    message, timestamp = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    signatures = headers.get("webhook-signature", "")
    if not message or not timestamp or not signatures or len(message) > LONGEST_ID:
        raise SignatureInvalid(
            "this hook takes signed requests: send webhook-id, webhook-timestamp and"
            " webhook-signature as Standard Webhooks says"
        )
    secret = vault.open(hook.sealed, Place(workspace, hook.id, SECRET, version=1))
    if not is_signed(secret, signatures, message=message, timestamp=timestamp, body=body):
        raise SignatureInvalid("no signature of this request was made with the hook's secret")
    if not is_recent(timestamp, now=now):
        raise SignatureInvalid("this request was signed more than 5 minutes ago, or in the future")
    return message


def event_scope(event: HookEvent) -> JsonObject:
    """What a trigger's expressions see as `event`; raises `ExpressionError` for bad JSON."""
    headers: JsonObject = {**event.headers}
    query: JsonObject = {**event.query}
    return {"body": _read_body(event), "headers": headers, "query": query}


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The headers that are kept: what authorises the sender is not."""
    return {name: value for name, value in headers.items() if name not in _UNSHOWN}


def _read_body(event: HookEvent) -> JsonValue:
    media_type = event.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not event.body:
        return None
    if media_type and media_type != "application/json" and not media_type.endswith("+json"):
        return event.body.decode(errors="replace").replace("\0", "\ufffd")
    try:
        read_json(event.body)
    except HTTPException as error:
        raise ExpressionError(str(error.detail)) from error
    value: JsonValue = json.loads(event.body)
    return value


def _dedupe_key(dedupe: JsonValue, scope: JsonObject) -> str | None:
    """What a repeated event has in common; `None` where this one lacks what `dedupe` reads."""
    try:
        value = compile_value(dedupe).evaluate({"event": scope})
    except ExpressionError:
        return None  # the message's id still tells repetitions
    if value is None or value == "":
        return None
    key = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    return key if len(key) <= LONGEST_ID else hashlib.sha256(key.encode()).hexdigest()
