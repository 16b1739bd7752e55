"""Retries and timeouts of a node: its own, else the template's defaults, else the language's."""

from datetime import timedelta

from treadle.agents.language.model import Defaults
from treadle.agents.nodes.agent import AgentNode
from treadle.agents.nodes.base import (
    DEFAULT_TIMEOUT,
    MODEL_TIMEOUT,
    CallBase,
    ContainerBase,
    Retry,
)
from treadle.agents.nodes.llm import LlmNode
from treadle.agents.nodes.union import Node
from treadle.agents.steps.attempts import Policy


def policy_of(node: Node, defaults: Defaults) -> Policy:
    """The policy of a node. Defaults reach only what calls a model or a tool."""
    if isinstance(node, CallBase):
        longest = MODEL_TIMEOUT if isinstance(node, LlmNode | AgentNode) else DEFAULT_TIMEOUT
        timeout = node.timeout or defaults.timeout or longest
        return _policy(node.retry or defaults.retry or Retry(), timeout)
    if isinstance(node, ContainerBase):
        return _policy(Retry(), node.timeout)
    return Policy()


def _policy(retry: Retry, timeout: timedelta | None) -> Policy:
    return Policy(
        attempts=retry.attempts,
        initial_s=retry.initial.total_seconds(),
        max_s=retry.max.total_seconds(),
        is_exponential=retry.backoff == "exponential",
        on=frozenset(retry.on),
        timeout_s=None if timeout is None else timeout.total_seconds(),
    )
