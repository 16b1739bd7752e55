"""What tools may reach although it is private (`TREADLE_EGRESS_ALLOW`)."""

import re
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Self

from treadle.integrations.egress.addresses import (
    METADATA,
    METADATA_NAMES,
    Address,
    Network,
    is_literal,
    is_metadata,
    parse_address,
)
from treadle.integrations.errors import IntegrationError

_HOST_AND_PORT = re.compile(r"^(?:\[(?P<v6>[0-9a-f:.]+)\]|(?P<host>[a-z0-9_.-]+)):(?P<port>\d+)$")


class BadAllowList(IntegrationError, ValueError):
    """An entry of TREADLE_EGRESS_ALLOW is neither `host:port` nor a CIDR, or names metadata."""

    def __init__(self, entry: str, reason: str) -> None:
        super().__init__(f"TREADLE_EGRESS_ALLOW: {entry!r} {reason}")
        self.entry = entry


@dataclass(frozen=True, slots=True)
class AllowList:
    """Origins (host and port) and networks."""

    origins: frozenset[tuple[str, int]] = frozenset()
    networks: tuple[Network, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read the setting: a comma list of `host:port` and CIDR; raises `BadAllowList`."""
        entries = [entry.strip().lower() for entry in text.split(",") if entry.strip()]
        return cls(
            origins=frozenset(
                _origin(entry, match) for entry in entries if (match := _origin_match(entry))
            ),
            networks=tuple(_network(entry) for entry in entries if not _origin_match(entry)),
        )

    def with_origin(self, host: str, port: int) -> Self:
        """The same list and one more origin."""
        return replace(self, origins=self.origins | {(host, port)})

    def has_origin(self, host: str, port: int) -> bool:
        """Whether a host is listed with this port."""
        return (host, port) in self.origins

    def has_address(self, address: Address) -> bool:
        """Whether an address lies in a listed network."""
        return any(address in network for network in self.networks)


def _origin_match(entry: str) -> re.Match[str] | None:
    return _HOST_AND_PORT.match(entry)


def _network(entry: str) -> Network:
    try:
        network = ip_network(entry)
    except ValueError as error:
        raise BadAllowList(entry, "is neither host:port nor a CIDR like 10.0.0.0/8") from error
    if any(_covers(metadata, network) for metadata in METADATA):
        raise BadAllowList(entry, "is a cloud metadata address, which tools never reach")
    return network


def _covers(outer: Network, inner: Network) -> bool:
    return inner.network_address in outer and inner.broadcast_address in outer


def _origin(entry: str, match: re.Match[str]) -> tuple[str, int]:
    host, port = match["v6"] or match["host"].rstrip("."), int(match["port"])
    if not 0 < port < 65536:
        raise BadAllowList(entry, "has a port that does not exist")
    if host in METADATA_NAMES or (is_literal(host) and is_metadata(parse_address(host))):
        raise BadAllowList(entry, "is a cloud metadata address, which tools never reach")
    return host, port
