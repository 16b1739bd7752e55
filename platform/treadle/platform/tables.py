"""Imports every `models.py`, so that `metadata` is whole: tests compare it with the migrations."""

from treadle.platform.agents.models import agents
from treadle.platform.artifacts.models import artifacts
from treadle.platform.audit.models import audit_log
from treadle.platform.auth.models import api_keys
from treadle.platform.batches.models import batch_rows, batches
from treadle.platform.cache.models import step_cache
from treadle.platform.connections.models import connection_secrets, connections
from treadle.platform.engine.models import log, run_values, runs, waits, workers
from treadle.platform.files.models import blobs, files
from treadle.platform.hooks.models import hook_events, hooks
from treadle.platform.idempotency.models import idempotency_keys
from treadle.platform.limits.models import limits
from treadle.platform.members.models import members
from treadle.platform.metrics.models import process_metrics
from treadle.platform.schedules.models import schedule_fires, schedules
from treadle.platform.templates.models import template_texts, template_versions
from treadle.platform.usage.models import usage_daily, usage_entries
from treadle.platform.webhooks.models import webhook_deliveries, webhooks
from treadle.platform.workspaces.models import workspaces

__all__ = [
    "agents",
    "api_keys",
    "artifacts",
    "audit_log",
    "batch_rows",
    "batches",
    "blobs",
    "connection_secrets",
    "connections",
    "files",
    "hook_events",
    "hooks",
    "idempotency_keys",
    "limits",
    "log",
    "members",
    "process_metrics",
    "run_values",
    "runs",
    "schedule_fires",
    "schedules",
    "step_cache",
    "template_texts",
    "template_versions",
    "usage_daily",
    "usage_entries",
    "waits",
    "webhook_deliveries",
    "webhooks",
    "workers",
    "workspaces",
]
