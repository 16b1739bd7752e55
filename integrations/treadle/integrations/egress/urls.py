"""Which URLs are well-formed enough to be tried. One parser, `httpx.URL`, for check and use."""

import re
from ipaddress import IPv4Address

import httpx

from treadle.integrations.egress.policy import Policy
from treadle.integrations.errors import EgressDenied

MAX_LENGTH = 2048
DEFAULT_PORTS = {"http": 80, "https": 443}

_CONTROL = re.compile(r"[\x00-\x20\x7f-\x9f\\]")
_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")
_NUMBER = re.compile(r"(\d+|0x[0-9a-f]*)")


def parse_url(text: str) -> httpx.URL:
    """Read a URL of the web; raises `EgressDenied` (`url_refused`) with the reason."""
    if len(text) > MAX_LENGTH:
        raise _refused(text, f"it is longer than {MAX_LENGTH} characters")
    if _CONTROL.search(text):
        raise _refused(text, "it has a space, a control character or a backslash")
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise _refused(text, f"it is malformed ({error})") from error
    check_form(url)
    return url


def check_url(text: str, policy: Policy) -> httpx.URL:
    """`parse_url`, and what the policy says about its host and port."""
    url = parse_url(text)
    policy.check_host(*origin_of(url))
    return url


def check_form(url: httpx.URL) -> None:
    """Refuse forms that parsers read differently; raises `EgressDenied`."""
    if url.scheme not in DEFAULT_PORTS:
        raise _refused(str(url), "only http and https are allowed")
    if url.userinfo:
        raise _refused(str(url.copy_with(userinfo=b"")), "it carries a user name or password")
    if len(str(url)) > MAX_LENGTH:
        raise _refused(str(url), f"it is longer than {MAX_LENGTH} characters")
    host, port = origin_of(url)
    if not 0 < port < 65536:
        raise _refused(str(url), f"port {port} does not exist")
    if ":" in host:
        if "%" in host:
            raise _refused(str(url), "a zone index is not allowed in an address")
    elif not _is_host(host):
        raise _refused(str(url), f"{host!r} is not a host name")


def origin_of(url: httpx.URL) -> tuple[str, int]:
    """Host (ASCII, lower case, without a final dot) and port."""
    host = url.raw_host.decode("ascii").lower().removesuffix(".")
    return host, url.port if url.port is not None else DEFAULT_PORTS.get(url.scheme, 0)


def shown(url: httpx.URL) -> str:
    """A URL as messages show it: without its query, which may hold secrets."""
    return str(url.copy_with(query=None, fragment=None))


def _is_host(host: str) -> bool:
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # 127.1, 0x7f.1, 2130706433: resolvers read them as addresses
        return _is_dotted_quad(host)
    return len(host) <= 253 and all(_LABEL.fullmatch(label) for label in labels)


def _is_dotted_quad(host: str) -> bool:
    try:
        return str(IPv4Address(host)) == host
    except ValueError:
        return False


def _refused(text: str, reason: str) -> EgressDenied:
    short = text if len(text) <= 200 else text[:200] + "…"
    return EgressDenied(f"refused the URL {short.split('?')[0]!r}: {reason}", code="url_refused")
