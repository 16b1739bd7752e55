"""Taking secrets out of texts: known values in all their spellings, and shapes of common keys."""

import base64
import json
import re
from collections.abc import Iterator
from urllib.parse import quote, quote_plus

from pydantic import JsonValue

MASK = "•••"
MIN_LENGTH = 4  # shorter values are too common to be searched for

_SHAPES = re.compile(
    r"""
    (?P<keep>(?:authorization|proxy-authorization|x-api-key|api-key|cookie|set-cookie)
        ["']?\s*[:=]\s*["']?(?:(?:bearer|basic|token)\s+)?)[^\s"',;]{4,}
    | (?P<scheme>\bbearer\s+)[A-Za-z0-9._~+/=-]{16,}
    | \beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*
    | \b(?:trd_|whsec_|sk-|ghp_|gho_|github_pat_|glpat-|xox[abprs]-|AKIA|AIza|ya29\.)
      [A-Za-z0-9_./+=-]{8,}
    """,
    re.IGNORECASE | re.VERBOSE,
)


class Redactor:
    """Knows secret values and hides them. An empty one knows only the shapes of keys."""

    def __init__(self, *secrets: str) -> None:
        self._forms: set[str] = set()
        self._values: re.Pattern[str] | None = None
        for secret in secrets:
            self.register(secret)

    def register(self, secret: str) -> None:
        """Hide a value from now on, in its base64, URL and JSON spellings too."""
        if len(secret) < MIN_LENGTH:
            return
        self._forms.update(_spellings(secret))
        longest_first = sorted(self._forms, key=len, reverse=True)
        self._values = re.compile("|".join(map(re.escape, longest_first)))

    def redact(self, text: str) -> str:
        """Hide known values and everything that looks like a key."""
        return _SHAPES.sub(_keep_name, self.redact_values(text))

    def redact_values(self, text: str) -> str:
        """Hide known values only: for content, where shapes would hide innocent words."""
        return self._values.sub(MASK, text) if self._values else text

    def redact_json(self, value: JsonValue) -> JsonValue:
        """Hide known values in every text of a JSON value."""
        if isinstance(value, str):
            return self.redact_values(value)
        if isinstance(value, list):
            return [self.redact_json(item) for item in value]
        if isinstance(value, dict):
            return {self.redact_values(key): self.redact_json(item) for key, item in value.items()}
        return value


def _keep_name(match: re.Match[str]) -> str:
    return f"{match['keep'] or match['scheme'] or ''}{MASK}"


def _spellings(secret: str) -> Iterator[str]:
    yield secret
    yield quote(secret, safe="")
    yield quote(secret)
    yield quote_plus(secret)
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    yield from _base64_forms(secret.encode())


def _base64_forms(secret: bytes) -> Iterator[str]:
    """As it stands, and inside a longer text that was encoded (`user:secret`), at any offset."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        yield encode(secret).decode().rstrip("=")
        for offset in range(3):
            whole = encode(b"\0" * offset + secret).decode().rstrip("=")
            # Characters that share bits with neighbours, at either end, differ: leave them out.
            start = -(-offset * 8 // 6)
            inner = whole[start : (offset + len(secret)) * 8 // 6]
            if len(inner) >= 8:
                yield inner
