"""Making the client that tools get."""

import ssl
from functools import cache
from http.cookiejar import CookieJar, DefaultCookiePolicy

import certifi
import httpx

from treadle.integrations.egress.credentials import HttpCredential
from treadle.integrations.egress.policy import Policy
from treadle.integrations.egress.pools import Pools
from treadle.integrations.egress.resolver import Resolver, SystemResolver
from treadle.integrations.egress.rules import Rules
from treadle.integrations.egress.transport import GuardedTransport

USER_AGENT = "Treadle/0.1"


class GuardedClient(httpx.AsyncClient):
    """An httpx client without environment, cookies or redirects of its own, behind the guard."""

    def __init__(self, guard: GuardedTransport) -> None:
        super().__init__(
            transport=guard,
            trust_env=False,
            follow_redirects=False,
            timeout=None,  # the rules of each request hold
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            headers={"User-Agent": USER_AGENT, "Accept": "*/*", "Accept-Encoding": "gzip"},
        )
        self.guard = guard


def build_client(
    policy: Policy,
    *,
    resolver: Resolver | None = None,
    rules: Rules | None = None,
    tls: ssl.SSLContext | None = None,
) -> GuardedClient:
    """A client behind the guard, without credentials; one serves a whole process.

    Args:
        policy: What may be reached.
        resolver: How names become addresses; default: the operating system.
        rules: Limits of requests that bring none of their own.
        tls: Which certificates are trusted; default: the public ones.
    """
    pools = Pools(policy, resolver or SystemResolver(), tls or public_tls())
    return GuardedClient(GuardedTransport(pools, rules=rules or Rules()))


def with_credential(client: GuardedClient, credential: HttpCredential) -> GuardedClient:
    """A client over the same guard that adds a secret; it needs no closing of its own."""
    guard = client.guard
    return GuardedClient(GuardedTransport(guard.pools, rules=guard.rules, credential=credential))


def only_hosts(client: httpx.AsyncClient, hosts: frozenset[str]) -> httpx.AsyncClient:
    """A client over the same guard that reaches only these hosts, their own redirects included.

    A client that is not behind the guard is a double of a test, and is handed back.
    """
    if not isinstance(client, GuardedClient):
        return client
    guard = client.guard
    return GuardedClient(GuardedTransport(guard.pools, rules=guard.rules, only=hosts))


@cache
def public_tls() -> ssl.SSLContext:
    """The usual certificate authorities; loading them takes some 20 ms, so once."""
    return ssl.create_default_context(cafile=certifi.where())
