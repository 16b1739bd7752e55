"""What the engine counts, in the process that does it."""

from prometheus_client import Counter, Gauge, Histogram

_QUICK = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.5, 1, 5, 30)
_LONG = (0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200)
_SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)

CLAIMED = Counter("treadle_runs_claimed", "Runs that this worker began or took up again.")
ACTIVE = Gauge("treadle_runs_active", "Runs that this worker advances at present.")
BELL_SECONDS = Histogram(
    "treadle_bell_seconds", "Time from a bell's ring to the claim it led to.", buckets=_QUICK
)
COMMITS = Counter("treadle_commits", "Transactions of the log's writer.")
COMMIT_RUNS = Histogram("treadle_commit_runs", "Runs written in one transaction.", buckets=_SIZES)
SWEPT = Counter("treadle_runs_swept", "Runs that a sweep found and rang for.")
RUN_SECONDS = Histogram(
    "treadle_run_seconds", "Time from a run's start to its end.", ["status"], buckets=_LONG
)
STEP_SECONDS = Histogram(
    "treadle_step_seconds", "Time from a step's start to its end.", ["status"], buckets=_LONG
)
MODEL_CALLS = Counter("treadle_model_calls", "Model calls that were answered.", ["model"])
MODEL_TOKENS = Counter("treadle_model_tokens", "Tokens of those calls.", ["model", "kind"])
STREAMS = Gauge("treadle_event_streams", "Event streams that are open.")
