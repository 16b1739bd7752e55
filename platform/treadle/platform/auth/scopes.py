"""What a key may do. `write` does not include `read`."""

from enum import StrEnum


class Scope(StrEnum):
    """Fixed by the contract.

    Approvals, files and artifacts count as runs; members, audit, usage, hooks and webhooks as the
    workspace.
    """

    RUNS_READ = "runs:read"
    RUNS_WRITE = "runs:write"
    TEMPLATES_READ = "templates:read"
    TEMPLATES_WRITE = "templates:write"
    AGENTS_READ = "agents:read"
    AGENTS_WRITE = "agents:write"
    SCHEDULES_READ = "schedules:read"
    SCHEDULES_WRITE = "schedules:write"
    CONNECTIONS_READ = "connections:read"
    CONNECTIONS_WRITE = "connections:write"
    KNOWLEDGE_READ = "knowledge:read"
    KNOWLEDGE_WRITE = "knowledge:write"
    BOTS_READ = "bots:read"
    BOTS_WRITE = "bots:write"
    KEYS_READ = "keys:read"
    KEYS_WRITE = "keys:write"
    WORKSPACE_READ = "workspace:read"
    WORKSPACE_WRITE = "workspace:write"


ALL_SCOPES: frozenset[Scope] = frozenset(Scope)
