"""The secret of an `http` connection and the hosts it may be sent to."""

import base64
import re
from dataclasses import dataclass, field
from typing import Literal, Self

import httpx

from treadle.integrations.egress.policy import Policy
from treadle.integrations.egress.redaction import Redactor
from treadle.integrations.egress.urls import DEFAULT_PORTS, origin_of
from treadle.integrations.errors import EgressDenied, IntegrationError

DEFAULT_HEADER = "X-Api-Key"

_PATTERN = re.compile(
    r"^(?P<wild>\*\.)?(?P<host>\[[0-9a-f:.]+\]|[a-z0-9_.-]+)(?::(?P<port>\d{1,5}))?$"
)
_NAMED = re.compile(r"^(?P<name>[A-Za-z0-9-]+):[ ](?P<value>.+)$")
_TOKEN = re.compile(r"^[A-Za-z0-9-]+$")
_PRINTABLE = re.compile(r"^[\x20-\x7e]+$")


class BadCredential(IntegrationError, ValueError):
    """A connection of type `http` was described wrongly."""


@dataclass(frozen=True, slots=True)
class HttpCredential:
    """How a request is authorised, and where.

    Attributes:
        secret: The token (`bearer`); the value, or `Name: value` (`header`); `user:password`
            (`basic`).
        hosts: Exact hosts (`api.example.com`, `10.0.0.5:8080`) or all below one (`*.example.com`).
            Without a port: 80 and 443, and any that is listed in TREADLE_EGRESS_ALLOW.
        header: The name of the header for `header`, unless the secret names it.
    """

    auth: Literal["bearer", "header", "basic"]
    secret: str = field(repr=False)
    hosts: tuple[str, ...]
    header: str = DEFAULT_HEADER

    def __post_init__(self) -> None:
        if not _PRINTABLE.match(self.secret):
            raise BadCredential("the secret is empty or has characters that no header can carry")
        if self.auth == "basic" and ":" not in self.secret:
            raise BadCredential("the secret of a basic authorisation is written user:password")
        if not _TOKEN.match(self.header):
            raise BadCredential(f"{self.header!r} is not the name of a header")
        if not self.hosts:
            raise BadCredential("name at least one host that the secret may be sent to")
        for pattern in self.hosts:
            HostPattern.parse(pattern)

    @property
    def headers(self) -> dict[str, str]:
        """What is added to a request."""
        match self.auth:
            case "bearer":
                return {"Authorization": f"Bearer {self.secret}"}
            case "basic":
                encoded = base64.b64encode(self.secret.encode()).decode()
                return {"Authorization": f"Basic {encoded}"}
            case "header":
                named = _NAMED.match(self.secret)
                if named and self.header == DEFAULT_HEADER:
                    return {named["name"]: named["value"]}
                return {self.header: self.secret}

    def redactor(self) -> Redactor:
        """Hides the secret and every form in which it is sent."""
        redactor = Redactor(self.secret)
        for value in self.headers.values():
            redactor.register(value.removeprefix("Bearer ").removeprefix("Basic "))
        if self.auth == "basic":
            redactor.register(self.secret.split(":", 1)[1])
        return redactor

    def check(self, url: httpx.URL, policy: Policy) -> None:
        """Refuse to send the secret elsewhere, or in the clear; raises `EgressDenied`."""
        host, port = origin_of(url)
        if not any(HostPattern.parse(text).matches(host, port, policy) for text in self.hosts):
            raise EgressDenied(
                f"the connection's secret is not for {host!r} on port {port}; it names "
                f"{', '.join(self.hosts)}. Call one of these, or add the host to the connection",
                code="host_not_in_connection",
            )
        if url.scheme != "https" and not policy.is_listed_private(host, port):
            raise EgressDenied(
                f"refused to send the connection's secret to {host!r} over plain http; use https, "
                f"or add {host}:{port} to TREADLE_EGRESS_ALLOW if it is yours",
                code="https_required",
            )


@dataclass(frozen=True, slots=True)
class HostPattern:
    """An exact host, or all hosts below one; with a port, that port only."""

    host: str
    is_suffix: bool
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `api.example.com`, `10.0.0.5:8080`, `*.example.com`; raises `BadCredential`."""
        match = _PATTERN.match(text.lower())
        if match is None:
            raise BadCredential(f"{text!r} is neither a host nor *.host")
        host = match["host"].strip("[]").removesuffix(".")
        if match["wild"] and "." not in host:
            raise BadCredential(f"{text!r} covers a whole top-level domain; name more of the host")
        return cls(host, bool(match["wild"]), int(match["port"]) if match["port"] else None)

    def matches(self, host: str, port: int, policy: Policy) -> bool:
        """Whether a request to this host and port is meant."""
        is_meant = host.endswith(f".{self.host}") if self.is_suffix else host == self.host
        if self.port is not None:
            return is_meant and self.port == port
        is_usual = port in DEFAULT_PORTS.values() or policy.is_listed_private(host, port)
        return is_meant and is_usual
