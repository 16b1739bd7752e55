"""How long a receiver asks us to wait."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_S = 24 * 3600.0


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Seconds from now in a Retry-After header (a number or a date), `None` without a sound one."""
    value = headers.get("retry-after", "").strip()
    try:
        seconds = float(value) if value[:1].isdecimal() else _until(value)
    except (ValueError, TypeError):
        return None
    return min(max(0.0, seconds), LONGEST_S)


def _until(date: str) -> float:
    moment = parsedate_to_datetime(date)
    aware = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (aware - datetime.now(UTC)).total_seconds()
