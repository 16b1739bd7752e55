"""Prometheus metrics of one server."""

from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from pydantic import JsonValue
from typing_extensions import override

from treadle.model_runtime.service import EngineService

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class _EngineCollector(Collector):
    """Reads the engine's own counts when it is asked."""

    def __init__(self, service: EngineService) -> None:
        self._service = service

    @override
    def collect(self) -> Iterator[Metric]:
        """Gauges and counters of this moment."""
        load = self._service.load()
        counts = load.counts
        gauges = {
            "requests_running": load.running,
            "requests_waiting": load.waiting,
            "cache_used_ratio": 1 - load.free_blocks / load.blocks,
        }
        counters = {
            "steps": counts.steps,
            "tokens_read": counts.read,
            "tokens_answered": counts.answered,
            "prompt_tokens": counts.prompt,
            "prompt_tokens_cached": counts.cached,
            "draft_tokens": counts.drafted,
            "draft_tokens_accepted": counts.accepted,
            "preemptions": load.preemptions,
        }
        for name, value in gauges.items():
            yield GaugeMetricFamily(f"treadle_runtime_{name}", name.replace("_", " "), value)
        for name, value in counters.items():
            yield CounterMetricFamily(f"treadle_runtime_{name}", name.replace("_", " "), value)


@dataclass(frozen=True, slots=True)
class Metrics:
    """One registry; the histograms are fed by the requests."""

    registry: CollectorRegistry
    first_token: Histogram
    between_tokens: Histogram

    @classmethod
    def of(cls, service: EngineService) -> "Metrics":
        """Metrics of a server around this engine."""
        registry = CollectorRegistry()
        registry.register(_EngineCollector(service))
        return cls(
            registry,
            Histogram(
                "treadle_runtime_first_token_seconds",
                "From a request's arrival to its first token",
                buckets=SECONDS,
                registry=registry,
            ),
            Histogram(
                "treadle_runtime_between_tokens_seconds",
                "From one step of a request to the next",
                buckets=SECONDS,
                registry=registry,
            ),
        )

    async def timed(self, bodies: AsyncGenerator[JsonValue]) -> AsyncGenerator[JsonValue]:
        """The same stream, its pauses measured; the first chunk only tells the role."""
        before, measure = monotonic(), self.first_token
        async with aclosing(bodies):
            async for number, body in _numbered(bodies):
                if number:
                    now = monotonic()
                    measure.observe(now - before)
                    before, measure = now, self.between_tokens
                yield body

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self.registry)


async def _numbered(bodies: AsyncIterator[JsonValue]) -> AsyncIterator[tuple[int, JsonValue]]:
    number = 0
    async for body in bodies:
        yield number, body
        number += 1
