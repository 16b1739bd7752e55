"""Metrics of a server in front of another engine, under the names that our own engine uses."""

from collections.abc import AsyncGenerator, Iterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass
from time import monotonic

import httpx
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from treadle.model_runtime.engines.relay import Upstream
from treadle.model_runtime.engines.translation import Body

SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
TIMEOUT_S = 2
# Their samples to ours; a counter's sample ends in `_total` there and here.
NAMES: Mapping[str, Mapping[str, str]] = {
    "vllm": {
        "vllm:num_requests_running": "requests_running",
        "vllm:num_requests_waiting": "requests_waiting",
        "vllm:kv_cache_usage_perc": "cache_used_ratio",
        "vllm:prompt_tokens_total": "prompt_tokens_total",
        "vllm:prefix_cache_hits_total": "prompt_tokens_cached_total",
        "vllm:generation_tokens_total": "tokens_answered_total",
        "vllm:spec_decode_num_draft_tokens_total": "draft_tokens_total",
        "vllm:spec_decode_num_accepted_tokens_total": "draft_tokens_accepted_total",
        "vllm:num_preemptions_total": "preemptions_total",
    },
    "sglang": {
        "sglang:num_running_reqs": "requests_running",
        "sglang:num_queue_reqs": "requests_waiting",
        "sglang:token_usage": "cache_used_ratio",
        "sglang:prompt_tokens_total": "prompt_tokens_total",
        "sglang:cached_tokens_total": "prompt_tokens_cached_total",
        "sglang:generation_tokens_total": "tokens_answered_total",
    },
    "remote": {},
}
TOKENS = ("content", "reasoning_content", "reasoning", "tool_calls")
AVERAGED = frozenset({"cache_used_ratio"})


@dataclass(frozen=True, slots=True)
class Counts:
    """What this server sees of every request; the engine is asked for the rest."""

    registry: CollectorRegistry
    requests: Counter
    running: Gauge
    restarts: Gauge
    first_token: Histogram
    between_tokens: Histogram

    @classmethod
    def new(cls) -> "Counts":
        """All at zero."""
        registry = CollectorRegistry()

        def histogram(name: str, text: str) -> Histogram:
            return Histogram(
                f"treadle_runtime_{name}_seconds", text, buckets=SECONDS, registry=registry
            )

        return cls(
            registry,
            Counter(
                "treadle_runtime_requests",
                "Requests answered, by endpoint and status",
                ["endpoint", "status"],
                registry=registry,
            ),
            Gauge("treadle_runtime_relayed", "Requests passed on and open", registry=registry),
            Gauge("treadle_runtime_engine_restarts", "Engine starts", registry=registry),
            histogram("first_token", "From a request's arrival to its first token"),
            histogram("between_tokens", "From one chunk of a request to the next"),
        )

    async def timed(self, chunks: AsyncGenerator[Body]) -> AsyncGenerator[Body]:
        """The same chunks, their pauses measured; the first may only tell the role."""
        before, measure = monotonic(), self.first_token
        async with aclosing(chunks):
            async for chunk in chunks:
                if _has_tokens(chunk):
                    now = monotonic()
                    measure.observe(now - before)
                    before, measure = now, self.between_tokens
                yield chunk

    async def text(self, upstream: Upstream, client: httpx.AsyncClient) -> bytes:
        """The exposition format: ours, then the engine's in our names if it answers in time."""
        return generate_latest(self.registry) + await engine_text(upstream, client)


class Counting:
    """Counts each answer by its route and status; paths that clients make up are one."""

    def __init__(self, app: ASGIApp, *, counts: Counts) -> None:
        self._app, self._counts = app, counts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""

        async def watched(message: Message) -> None:
            if message["type"] == "http.response.start":
                route = str(getattr(scope.get("route"), "path", "unknown"))
                self._counts.requests.labels(route, str(message["status"])).inc()
            await send(message)

        await self._app(scope, receive, watched)


async def engine_text(upstream: Upstream, client: httpx.AsyncClient) -> bytes:
    """What the engine counts, in our names; nothing if it does not answer."""
    if not NAMES[upstream.kind]:
        return b""
    try:
        response = await client.get(
            upstream.url.removesuffix("/v1") + "/metrics", timeout=TIMEOUT_S
        )
        response.raise_for_status()
        values = renamed(response.text, NAMES[upstream.kind])
    except (httpx.HTTPError, ValueError):
        return b""
    return "".join(_lines(values)).encode()


def renamed(text: str, names: Mapping[str, str]) -> dict[str, float]:
    """Samples by our names; those of several ranks are added up, shares averaged."""
    found: dict[str, list[float]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if (name := names.get(sample.name)) is not None:
                found.setdefault(name, []).append(sample.value)
    return {
        name: sum(values) / (len(values) if name in AVERAGED else 1)
        for name, values in found.items()
    }


def _lines(values: Mapping[str, float]) -> Iterator[str]:
    for name, value in values.items():
        kind = "counter" if name.endswith("_total") else "gauge"
        yield f"# TYPE treadle_runtime_{name} {kind}\ntreadle_runtime_{name} {value:g}\n"


def _has_tokens(chunk: Body) -> bool:
    """It brings text, thoughts or a call."""
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else []:
        if not isinstance(choice, dict):
            continue
        delta = choice.get("delta")
        if choice.get("text") or (
            isinstance(delta, dict) and any(delta.get(key) for key in TOKENS)
        ):
            return True
    return False
