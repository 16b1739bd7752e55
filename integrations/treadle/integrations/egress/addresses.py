"""Which addresses are public. Not `ipaddress.is_global`: it lets multicast, NAT64 and more through.

Sources: the IANA special-purpose address registries for IPv4 and IPv6, and the clouds' manuals for
the metadata services.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

METADATA: tuple[Network, ...] = (
    IPv4Network("169.254.0.0/16"),  # AWS, GCP, Azure, ECS tasks, EKS pods
    IPv4Network("100.100.100.200/32"),  # Alibaba
    IPv4Network("168.63.129.16/32"),  # Azure's wire server; a public address by its number
    IPv4Network("192.0.0.192/32"),  # Oracle
    IPv6Network("fd00:ec2::/32"),  # AWS over IPv6
    IPv6Network("fd20:ce::/32"),  # GCP over IPv6
    IPv6Network("fe80::/10"),  # link-local, where the rest of them answer
)
METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog"})

_DENIED_V4 = tuple(
    IPv4Network(block)
    for block in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_GLOBAL_V6 = IPv6Network("2000::/3")
_DENIED_V6 = tuple(
    IPv6Network(block)
    for block in (
        "2001::/23",  # Teredo, ORCHID, benchmarking and other protocol assignments
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "3ffe::/16",  # the former 6bone
        "3fff::/20",  # documentation
    )
)


def parse_address(text: str) -> Address:
    """Read a literal, unwrapping an IPv4 address mapped into IPv6; raises `ValueError`."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address


def is_literal(host: str) -> bool:
    """Whether a host is an address rather than a name."""
    try:
        parse_address(host)
    except ValueError:
        return False
    return True


def is_metadata(address: Address) -> bool:
    """Whether a cloud's metadata service may answer there: no setting allows it."""
    return any(address in network for network in METADATA)


def is_public(address: Address) -> bool:
    """Whether an address is an ordinary one of the internet."""
    if is_metadata(address):
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _DENIED_V4)
    return address in _GLOBAL_V6 and not any(address in network for network in _DENIED_V6)
