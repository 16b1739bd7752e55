"""Metrics of this process, for Prometheus. Labels never name a tenant."""

from prometheus_client import Histogram

REQUEST_SECONDS = Histogram(
    "treadle_http_request_seconds",
    "Time from a request's first byte to its answer's last, by route pattern.",
    ["method", "route", "status"],
)
