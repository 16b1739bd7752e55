"""What one request may take, given to the guard as an extension of the request."""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

import httpx

from treadle.integrations.egress.redaction import Redactor

_RULES = "treadle.rules"
_FINAL_URL = "treadle.final_url"
_REDACTOR = "treadle.redactor"

MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Rules:
    """Limits of one request.

    Attributes:
        total_s: For everything: redirects, connecting, the last byte. Cuts slow drips.
        max_wire_bytes: Of one answer as it travels.
        max_bytes: Of one answer, decompressed.
        max_ratio: Decompressed to travelled; beyond it the answer is a bomb.
        max_redirects: 0 hands a redirect back as the answer. Only GET and HEAD follow any.
        content_types: What an answer may be; `None` takes everything.
        configured_url: A service that the installation's owner configured: its origin may be
            private. Never taken from a template.
    """

    connect_s: float = 5.0
    read_s: float = 10.0
    total_s: float = 20.0
    max_wire_bytes: int = 2 * MEGABYTE
    max_bytes: int = 2 * MEGABYTE
    max_ratio: int = 100
    max_redirects: int = 3
    content_types: tuple[str, ...] | None = None
    configured_url: str | None = None

    def extensions(self) -> dict[str, Any]:  # Any: httpx types extensions so
        """For the `extensions` argument of an httpx call."""
        return {_RULES: self}


def rules_of(request: httpx.Request, default: Rules) -> Rules:
    """The rules a request came with."""
    rules = request.extensions.get(_RULES)
    return rules if isinstance(rules, Rules) else default


def note_answer(extensions: MutableMapping[str, Any], url: httpx.URL, redactor: Redactor) -> None:
    """Leave on an answer where it came from and what must not be shown of it."""
    extensions[_FINAL_URL] = str(url)
    extensions[_REDACTOR] = redactor


def final_url(response: httpx.Response) -> str:
    """The URL that answered, after redirects."""
    url = response.extensions.get(_FINAL_URL)
    return url if isinstance(url, str) else str(response.url)


def redactor_of(response: httpx.Response) -> Redactor:
    """Takes the secrets that the guard added to the request out of whatever is shown or stored."""
    redactor = response.extensions.get(_REDACTOR)
    return redactor if isinstance(redactor, Redactor) else Redactor()
