"""The service that this machine's settings point to, and the key for it."""

from dataclasses import dataclass
from pathlib import Path

from treadle.platform.embedded.home import Home
from treadle.platform.settings import Settings
from treadle.platform.supervisor.record import read_record


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where the service is; without a key only the public calls answer."""

    url: str
    key: str | None


def local_endpoint(settings: Settings) -> Endpoint:
    """Return API_URL, else what `treadle up` runs under HOME, else HOST and PORT.

    The key is API_KEY, else the admin key under HOME.
    """
    home = Home.at(settings.home)
    given = settings.api_key
    return Endpoint(
        url=settings.api_url or _running(home) or settings.url,
        key=given.get_secret_value() if given is not None else _kept_key(home.admin_key),
    )


def _running(home: Home) -> str | None:
    record = read_record(home)
    return None if record is None else record.api_url


def _kept_key(path: Path) -> str | None:
    try:
        return path.read_text(encoding="ascii").strip() or None
    except (FileNotFoundError, PermissionError):
        return None
