"""What an agent's triggers become: a schedule and a hook each, for as long as it has them."""

import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from treadle.agents.errors import InputsInvalid, Issue
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.agents.errors import AgentInvalid
from treadle.platform.agents.repository import AgentRecord
from treadle.platform.connections.vault import Place, Vault
from treadle.platform.db.database import TenantConnection
from treadle.platform.db.ids import WorkspaceId
from treadle.platform.errors import Unprocessable
from treadle.platform.hooks.receiving import SECRET
from treadle.platform.hooks.repository import Hook, delete_hooks, hook_tokens, insert_hook
from treadle.platform.runs.launch import Launcher
from treadle.platform.schedules.repository import (
    delete_schedules,
    insert_schedule,
    trigger_schedules,
)
from treadle.platform.schedules.schemas import NewSchedule
from treadle.platform.schedules.service import check_inputs, make_schedule
from treadle.platform.webhooks.signature import new_secret

_TOKEN_BYTES = 24
_OF_A_SCHEDULE = ("cron", "at", "every", "timezone", "inputs", "overlap", "catchup", "jitter")


@dataclass(frozen=True, slots=True)
class Taker:
    """Takes triggers, in a transaction of the agent's workspace."""

    tx: TenantConnection
    launcher: Launcher
    vault: Vault
    workspace: WorkspaceId
    created_by: UUID

    async def take(self, agent: AgentRecord) -> dict[UUID, str]:
        """Bring schedules and hooks in line with the triggers; returns the secrets that are new.

        Raises `AgentInvalid` where a schedule would never fire or could start no run.
        """
        await self._take_schedules(agent)
        return await self._take_hooks(agent)

    async def _take_schedules(self, agent: AgentRecord) -> None:
        wanted = _of_kind(agent, "schedule")
        present = await trigger_schedules(self.tx, agent.id)
        await delete_schedules(self.tx, [s.id for key, s in present.items() if key not in wanted])
        for trigger_id, (index, trigger) in wanted.items():

            async def take(trigger_id: UUID = trigger_id, trigger: JsonObject = trigger) -> None:
                if trigger_id in present:
                    await check_inputs(self.tx, self.launcher, agent, present[trigger_id])
                else:
                    await self._take_schedule(agent, trigger_id, trigger)

            await _located(index, take)

    async def _take_schedule(
        self, agent: AgentRecord, trigger_id: UUID, trigger: JsonObject
    ) -> None:
        fields = {name: trigger[name] for name in _OF_A_SCHEDULE if name in trigger}
        schedule = await make_schedule(
            self.tx,
            NewSchedule.model_validate({"agent": agent.name, **fields}),
            agent_id=agent.id,
            created_by=self.created_by,
            trigger_id=trigger_id,
        )
        await check_inputs(self.tx, self.launcher, agent, schedule)
        await insert_schedule(self.tx, schedule)

    async def _take_hooks(self, agent: AgentRecord) -> dict[UUID, str]:
        wanted = _of_kind(agent, "webhook")
        present = await hook_tokens(self.tx, [agent.id])
        await delete_hooks(self.tx, present.keys() - wanted.keys())
        fresh: dict[UUID, str] = {}
        for trigger_id, (_, trigger) in wanted.items():
            if trigger_id not in present:
                fresh[trigger_id] = await self._take_hook(agent, trigger_id, trigger)
        return fresh

    async def _take_hook(self, agent: AgentRecord, trigger_id: UUID, trigger: JsonObject) -> str:
        secret = new_secret()
        inputs = trigger.get("inputs")
        await insert_hook(
            self.tx,
            Hook(
                id=trigger_id,
                agent_id=agent.id,
                token=secrets.token_urlsafe(_TOKEN_BYTES),
                sealed=self.vault.seal(
                    secret, Place(self.workspace, trigger_id, SECRET, version=1)
                ),
                inputs=inputs if isinstance(inputs, dict) else {},
                dedupe=trigger.get("dedupe"),
                created_at=datetime.now(UTC),
            ),
        )
        return secret


def hook_url(base: str, token: str) -> str:
    """Where a hook receives."""
    return f"{base.rstrip('/')}/v1/hooks/{token}"


def _of_kind(agent: AgentRecord, use: str) -> dict[UUID, tuple[int, JsonObject]]:
    return {
        UUID(str(trigger["id"])): (index, _written(trigger))
        for index, trigger in enumerate(agent.triggers)
        if trigger["use"] == use
    }


def _written(trigger: Mapping[str, JsonValue]) -> JsonObject:
    return {key: value for key, value in trigger.items() if key != "id"}


async def _located(index: int, take: Callable[[], Awaitable[None]]) -> None:
    """Say of which trigger an issue is."""
    try:
        await take()
    except (InputsInvalid, Unprocessable) as error:
        issues = error.issues or [Issue("error", "", None, None, str(error))]
        where = f"triggers[{index}]"
        located = [replace(i, path=f"{where}.{i.path}" if i.path else where) for i in issues]
        raise AgentInvalid(located) from error
