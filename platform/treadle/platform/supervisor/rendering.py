"""A child's log line as a person wants to read it: its event first, then the fields."""

from pydantic import JsonValue, TypeAdapter, ValidationError

_OBJECT: TypeAdapter[dict[str, JsonValue]] = TypeAdapter(dict[str, JsonValue])
# Known from the line's place (time) or told in front (level); ids of requests are for searching.
_LEFT_OUT = {"event", "level", "timestamp", "request_id", "exception"}


def rendered(line: str) -> str:
    """Return a JSON log line as text; any other line as it is."""
    if not line.startswith("{"):
        return line
    try:
        entry = _OBJECT.validate_json(line)
    except ValidationError:
        return line
    if "event" not in entry:
        return line
    level = str(entry.get("level", ""))
    fields = [f"{name}={value}" for name, value in entry.items() if name not in _LEFT_OUT]
    head = (
        str(entry["event"])
        if level in {"", "info", "debug"}
        else f"{level.upper()} {entry['event']}"
    )
    return " ".join([head, *fields])
