"""Connection pools, one per effective policy, sharing one TLS context."""

import ssl

import httpcore

from treadle.integrations.egress.backend import GuardedBackend
from treadle.integrations.egress.policy import Policy
from treadle.integrations.egress.resolver import Resolver


class Pools:
    """Opens a pool where a policy is first used.

    No connection is kept for a later request: that one could belong to another workspace.
    """

    def __init__(self, policy: Policy, resolver: Resolver, tls: ssl.SSLContext) -> None:
        self.policy = policy
        self._resolver = resolver
        self.tls = tls
        self._pools: dict[Policy, httpcore.AsyncConnectionPool] = {}

    def pool(self, policy: Policy) -> httpcore.AsyncConnectionPool:
        """The pool for a policy: the installation's own, or one with a configured service added."""
        if policy not in self._pools:
            self._pools[policy] = httpcore.AsyncConnectionPool(
                ssl_context=self.tls,
                max_connections=None,
                max_keepalive_connections=0,
                network_backend=GuardedBackend(policy, self._resolver),
            )
        return self._pools[policy]

    async def aclose(self) -> None:
        """Close what is open."""
        for pool in self._pools.values():
            await pool.aclose()
