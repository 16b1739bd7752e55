"""Takes out of a cassette what a file in a repository must not hold.

The same text always becomes the same stand-in, so that comparisons inside the run still hold. The
template's own text stays: its author published it.
"""

import re
from collections import Counter
from collections.abc import Iterator
from urllib.parse import quote

from treadle.agents.cassettes.cassette import Cassette, Recorded
from treadle.agents.language import Template
from treadle.agents.values import JsonObject, JsonValue

STAND_IN = "[redacted]"
SHORTEST = 4  # characters of a secret input that is looked for inside other texts
_SECRET_KEY = re.compile(
    r"(^|[_-])(password|passwd|pwd|secret|token|api[_-]?key|apikey|authorization|auth|cookie"
    r"|set[_-]cookie|credentials?|private[_-]?key|access[_-]?key|session[_-]?id|signature)$",
    re.IGNORECASE,
)
_SECRETS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:trd|sk|pk|rk|whsec|ghp|gho|ghu|ghs|ghr|glpat|xox[abposr])[_-][A-Za-z0-9_-]{12,}"
    r"|\bAKIA[A-Z0-9]{16}\b|\bAIza[A-Za-z0-9_-]{30,}"
    r"|\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*",
    re.DOTALL,
)
_BEARER = re.compile(r"\b((?:Bearer|Basic)\s+)[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE)
_IN_URL = re.compile(
    r"([?&](?:[a-z_-]*(?:token|key|secret|signature|password)|sig|auth|code)=)[^&#\s\"'<>]+",
    re.IGNORECASE,
)
_USER_IN_URL = re.compile(r"(?<=://)[^/\s@:\"'<>]{1,200}:[^/\s@\"'<>]{1,200}(?=@)")
_MAIL = re.compile(r"[A-Za-z0-9._%+-]{1,64}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63})+")
_PHONE = re.compile(r"(?<![\w+])\+\d[\d ()/.-]{7,18}\d(?!\w)")


def redacted(cassette: Cassette, template: Template) -> Cassette:
    """A copy without secrets, e-mail addresses and phone numbers; inputs that say so are secret."""
    hide = _Redaction(_secret_values(template, cassette.inputs))
    return cassette.model_copy(
        update={
            "inputs": hide.mapping(cassette.inputs),
            "outputs": None if cassette.outputs is None else hide.mapping(cassette.outputs),
            "error": None if cassette.error is None else hide.mapping(cassette.error),
            "steps": [_redacted_step(hide, step) for step in cassette.steps],
            "redactions": dict(hide.counts),
        }
    )


def _redacted_step(hide: "_Redaction", step: Recorded) -> Recorded:
    error = None if step.error is None else hide.mapping(step.error)
    return step.model_copy(update={"output": hide.value(step.output), "error": error})


def _secret_values(template: Template, inputs: JsonObject) -> list[str]:
    """What was given for inputs declared `format: password` or `writeOnly: true`."""
    found: list[str] = []
    for name, declared in template.inputs.items():
        schema = declared.schema
        if schema.get("format") == "password" or schema.get("writeOnly") is True:
            found += [text for text in _texts(inputs.get(name)) if len(text) >= SHORTEST]
    return sorted(found, key=len, reverse=True)


def _texts(value: JsonValue) -> Iterator[str]:
    match value:
        case str():
            yield value
        case list():
            for item in value:
                yield from _texts(item)
        case dict():
            for item in value.values():
                yield from _texts(item)
        case _:
            return


class _Redaction:
    """One pass over a cassette; numbers people in the order in which they appear."""

    def __init__(self, secrets: list[str]) -> None:
        self._secrets = [*secrets, *(quote(one, safe="") for one in secrets if quote(one) != one)]
        self._people: dict[str, str] = {}
        self.counts: Counter[str] = Counter()

    def mapping(self, values: JsonObject) -> JsonObject:
        """An object with what it holds."""
        return {self.text(key): self._field(key, item) for key, item in values.items()}

    def value(self, value: JsonValue) -> JsonValue:
        """Any value."""
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.value(item) for item in value]
            case dict():
                return self.mapping(value)
            case _:
                return value

    def text(self, text: str) -> str:
        """One text."""
        for secret in self._secrets:
            if secret in text:
                self.counts["secrets"] += text.count(secret)
                text = text.replace(secret, STAND_IN)
        text = self._replace(_SECRETS, STAND_IN, text, "secrets")
        for pattern in (_BEARER, _IN_URL):
            text = self._replace(pattern, rf"\1{STAND_IN}", text, "secrets")
        text = self._replace(_USER_IN_URL, "redacted:redacted", text, "secrets")
        text = self._replace(_PHONE, "+00 000 0000000", text, "phones")
        return _MAIL.sub(self._person, text)

    def _field(self, key: str, item: JsonValue) -> JsonValue:
        if isinstance(item, str) and item and _SECRET_KEY.search(key):
            self.counts["secrets"] += 1
            return STAND_IN
        return self.value(item)

    def _replace(self, pattern: re.Pattern[str], by: str, text: str, kind: str) -> str:
        made, count = pattern.subn(by, text)
        if count:
            self.counts[kind] += count
        return made

    def _person(self, match: re.Match[str]) -> str:
        self.counts["addresses"] += 1
        known = match[0].lower()
        return self._people.setdefault(known, f"person-{len(self._people) + 1}@redacted.example")
