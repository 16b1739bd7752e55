"""Prometheus metrics of one server."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Info, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from typing_extensions import override

from treadle.model_runtime.kernels.report import report
from treadle.model_runtime.server.generation import Served
from treadle.model_runtime.service import EngineService


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
            "cache_hit_ratio": _ratio(counts.cached, counts.prompt),
            "draft_acceptance_ratio": _ratio(counts.accepted, counts.drafted),
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


class Metrics:
    """Everything that Prometheus is told about one server."""

    def __init__(self, served: Served) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_EngineCollector(served.service))
        kernels = Info(
            "treadle_runtime_kernels", "What serves each part of a model", registry=self._registry
        )
        kernels.info(dict(report(served.checkpoint.model)))
        self._registry.register(served.timing.first_token)
        self._registry.register(served.timing.between_tokens)
        self._requests = Counter(
            "treadle_runtime_requests",
            "Requests answered, by endpoint and status",
            ["endpoint", "status"],
            registry=self._registry,
        )

    def count(self, endpoint: str, status: int) -> None:
        """Note a request that was answered."""
        self._requests.labels(endpoint, str(status)).inc()

    def text(self) -> bytes:
        """The exposition format."""
        return generate_latest(self._registry)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
