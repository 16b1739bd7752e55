"""Checking what a run is given: its inputs, and the files they name."""

from collections.abc import Mapping
from uuid import UUID

from sqlalchemy import select

from treadle.agents.errors import InputsInvalid, Issue
from treadle.agents.language import Template, declared_inputs, validate_inputs
from treadle.agents.values import JsonObject, JsonValue
from treadle.platform.db.database import TenantConnection
from treadle.platform.files.models import files


def fill_in(
    template: Template, given: Mapping[str, JsonValue], settings: Mapping[str, JsonValue]
) -> JsonObject:
    """Complete inputs: those given, the agent's defaults, the template's; or `InputsInvalid`."""
    defaults = settings.get("input_defaults")
    return validate_inputs(template, {**(defaults if isinstance(defaults, dict) else {}), **given})


def named_files(template: Template, inputs: Mapping[str, JsonValue]) -> dict[str, list[str]]:
    """The ids of uploaded files in the inputs of format `file`, by input."""
    named: dict[str, list[str]] = {}
    for name, one in declared_inputs(template).items():
        value = inputs.get(name)
        items = one.schema.get("items")
        is_list = isinstance(items, dict) and items.get("format") == "file"
        if one.is_file and isinstance(value, str):
            named[name] = [value]
        elif is_list and isinstance(value, list):
            named[name] = [item for item in value if isinstance(item, str)]
    return named


async def require_files(tx: TenantConnection, named: Mapping[str, list[str]]) -> None:
    """Raise `InputsInvalid` unless every file exists."""
    ids = {text: _read_id(text) for texts in named.values() for text in texts}
    wanted = [found for found in ids.values() if found is not None]
    rows = await tx.execute(select(files.c.id).where(files.c.id.in_(wanted)))
    known = {row.id for row in rows}
    issues = [
        Issue("error", f"inputs.{name}", None, None, f"no uploaded file {text[:80]!r}",
              "Upload it with POST /v1/files and give its id.")
        for name, texts in named.items()
        for text in texts
        if ids[text] not in known
    ]  # fmt: skip
    if issues:
        raise InputsInvalid(issues)


def _read_id(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
