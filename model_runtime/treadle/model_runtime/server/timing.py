"""How long clients wait for the first token and between tokens."""

from prometheus_client import Histogram

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Timing:
    """Two histograms, fed by every request that someone waits for."""

    def __init__(self) -> None:
        self.first_token = Histogram(
            "treadle_runtime_first_token_seconds",
            "From a request's arrival to its first token",
            buckets=SECONDS,
            registry=None,
        )
        self.between_tokens = Histogram(
            "treadle_runtime_between_tokens_seconds",
            "From one step of a request to the next",
            buckets=SECONDS,
            registry=None,
        )
