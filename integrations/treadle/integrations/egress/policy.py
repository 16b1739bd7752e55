"""The decision: may this host, this port, this address be reached?"""

from dataclasses import dataclass, field
from typing import Self

from treadle.integrations.egress.addresses import (
    METADATA_NAMES,
    is_literal,
    is_metadata,
    is_public,
    parse_address,
)
from treadle.integrations.egress.allowlist import AllowList
from treadle.integrations.errors import EgressDenied

PORTS = frozenset({80, 443})
LOCAL_SUFFIXES = frozenset(
    {
        "localhost", "local", "internal", "lan", "home", "corp", "arpa", "test", "invalid", "svc",
        "cluster", "localdomain", "intranet", "private", "onion",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Policy:
    """The public internet on ports 80 and 443, and what the allow-list adds to it."""

    allow: AllowList = field(default_factory=AllowList)

    @classmethod
    def parse(cls, allow: str) -> Self:
        """The policy of a TREADLE_EGRESS_ALLOW setting; raises `BadAllowList`."""
        return cls(AllowList.parse(allow))

    def with_origin(self, host: str, port: int) -> Self:
        """The same policy for a service that the installation's owner configured."""
        return type(self)(self.allow.with_origin(host, port))

    def check_host(self, host: str, port: int) -> None:
        """Refuse what the name alone shows; raises `EgressDenied`.

        With networks on the allow-list a local name or an unusual port may still be fine: then
        `check_address` decides.
        """
        if host in METADATA_NAMES:
            raise _metadata(host)
        if is_literal(host):
            self.check_address(host, port, host)
        elif not (self.allow.has_origin(host, port) or self.allow.networks):
            _check_name(host, port)
            _check_port(host, port)

    def check_address(self, host: str, port: int, address: str) -> None:
        """Refuse an address that a host stands for; raises `EgressDenied`."""
        parsed = parse_address(address)
        if is_metadata(parsed):
            raise _metadata(host)
        if self.allow.has_origin(host, port) or self.allow.has_address(parsed):
            return
        _check_name(host, port)
        if not is_public(parsed):
            raise EgressDenied(
                f"refused to connect to {host!r}: it is a private or reserved address; "
                f"{_remedy(host, port)}",
                code="address_refused",
            )
        _check_port(host, port)

    def is_listed_private(self, host: str, port: int) -> bool:
        """Whether the owner listed this origin: plain http to it is theirs to answer for."""
        if self.allow.has_origin(host, port):
            return True
        return is_literal(host) and self.allow.has_address(parse_address(host))


def _check_name(host: str, port: int) -> None:
    if not is_literal(host) and ("." not in host or host.rsplit(".", 1)[1] in LOCAL_SUFFIXES):
        raise EgressDenied(
            f"refused to connect to {host!r}: it is a local name; {_remedy(host, port)}",
            code="host_refused",
        )


def _check_port(host: str, port: int) -> None:
    if port not in PORTS:
        raise EgressDenied(
            f"refused to connect to {host!r} on port {port}: only 80 and 443 are open; "
            f"{_remedy(host, port)}",
            code="port_refused",
        )


def _metadata(host: str) -> EgressDenied:
    return EgressDenied(
        f"refused to connect to {host!r}: it is a cloud metadata address, which no setting allows",
        code="metadata_refused",
    )


def _remedy(host: str, port: int) -> str:
    shown = f"[{host}]" if ":" in host else host
    return f"if tools may reach it, add {shown}:{port} to TREADLE_EGRESS_ALLOW"
