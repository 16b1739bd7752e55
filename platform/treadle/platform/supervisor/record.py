"""What runs under a HOME, for commands started beside it: HOME/run/up.json."""

import json
import os
from dataclasses import asdict, dataclass

from treadle.platform.embedded.home import Home


@dataclass(frozen=True, slots=True)
class Record:
    """The supervisor that runs, and the addresses of its parts."""

    pid: int
    api_url: str
    database_url: str
    redis_url: str
    model_url: str | None = None
    """Of the embedded model, if it was started."""


def write_record(home: Home, record: Record) -> None:
    """Write the record, readable by its owner alone: the URLs have passwords."""
    path = home.run / "up.json"
    draft = path.with_name("up.json.new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(asdict(record), file)
    draft.replace(path)


def read_record(home: Home) -> Record | None:
    """Return the record if its supervisor lives; one that was killed leaves it behind."""
    try:
        record = Record(**json.loads((home.run / "up.json").read_text(encoding="utf-8")))
    except (FileNotFoundError, NotADirectoryError, PermissionError, ValueError, TypeError):
        return None
    return record if is_alive(record.pid) else None


def remove_record(home: Home) -> None:
    """Remove the record at a clean end."""
    (home.run / "up.json").unlink(missing_ok=True)


def is_alive(pid: int) -> bool:
    """Tell whether a process has this number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
