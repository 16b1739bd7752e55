"""The egress guard: every request a tool makes leaves through a client of this package.

`build_client` gives an `httpx.AsyncClient` that resolves a name once, checks every answer, connects
to the checked address and bounds what comes back. All its failures are `ToolError`s that say
whether the request can have had its effect; `EgressDenied` names the setting that would allow it.
"""

from treadle.integrations.egress.allowlist import AllowList, BadAllowList
from treadle.integrations.egress.client import GuardedClient, build_client, only_hosts
from treadle.integrations.egress.connections import HttpConnection
from treadle.integrations.egress.credentials import BadCredential, HttpCredential
from treadle.integrations.egress.policy import Policy
from treadle.integrations.egress.redaction import Redactor
from treadle.integrations.egress.resolver import Resolver, SystemResolver
from treadle.integrations.egress.rules import Rules, final_url, redactor_of
from treadle.integrations.egress.urls import check_url, parse_url

__all__ = [
    "AllowList",
    "BadAllowList",
    "BadCredential",
    "GuardedClient",
    "HttpConnection",
    "HttpCredential",
    "Policy",
    "Redactor",
    "Resolver",
    "Rules",
    "SystemResolver",
    "build_client",
    "check_url",
    "final_url",
    "only_hosts",
    "parse_url",
    "redactor_of",
]
