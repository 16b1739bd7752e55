"""Which hosts a call may reach, where its template fixes them; enforced when it is made."""

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx

from treadle.agents.values import JsonValue
from treadle.integrations.base import ArtifactStore, Connection, FileStore, ToolContext
from treadle.integrations.egress import only_hosts
from treadle.integrations.models import ModelClient
from treadle.integrations.registry import AnyTool

URL = "url"  # the argument of every tool that takes an address


def fixed_hosts(tool: AnyTool, arguments: Mapping[str, JsonValue]) -> frozenset[str] | None:
    """The hosts that a template fixes for a call; `None` where data decides, or none is named.

    `arguments` are as the template writes them.
    """
    if URL not in tool.destinations or URL not in arguments:
        return None
    host = written_host(arguments[URL])
    return None if host is None else frozenset({host})


def written_host(address: JsonValue) -> str | None:
    """The host of an address whose beginning stands in the template, up to its path."""
    if not isinstance(address, str):
        return None
    fixed = address.partition("${")[0]
    if fixed != address and "/" not in fixed.partition("://")[2]:
        return None  # what follows could still be part of the host
    try:
        return urlsplit(fixed).hostname
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class LimitedContext:
    """A tool's context whose clients reach only these hosts, redirects included."""

    context: ToolContext
    hosts: frozenset[str]

    @property
    def idempotency_key(self) -> str:
        """See `ToolContext`."""
        return self.context.idempotency_key

    @property
    def http(self) -> httpx.AsyncClient:
        """See `ToolContext`."""
        return only_hosts(self.context.http, self.hosts)

    @property
    def connection(self) -> Connection | None:
        """See `ToolContext`: it names its hosts itself."""
        return self.context.connection

    @property
    def models(self) -> ModelClient:
        """See `ToolContext`."""
        return self.context.models

    @property
    def artifacts(self) -> ArtifactStore:
        """See `ToolContext`."""
        return self.context.artifacts

    @property
    def files(self) -> FileStore:
        """See `ToolContext`."""
        return self.context.files

    @property
    def search_url(self) -> str | None:
        """See `ToolContext`."""
        return self.context.search_url

    @property
    def mail_url(self) -> str | None:
        """See `ToolContext`."""
        return self.context.mail_url
