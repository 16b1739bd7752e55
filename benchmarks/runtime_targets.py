"""What the runtime is held to, and a verdict on each of a run's figures."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

OURS = "fused"
LONG = 1024  # the context from which Transformers, which widens all of it, must be left far behind


@dataclass(frozen=True)
class Row:
    """Milliseconds of one engine in one row; `limit` is of the bytes, or of torch.matmul."""

    shape: str
    dtype: str
    task: str
    batch: int
    context: int
    engine: str
    best_ms: float
    median_ms: float
    limit_ms: float


@dataclass(frozen=True)
class Verdict:
    """One target: what was asked, what was reached; both are multiples of something."""

    what: str
    wanted: float
    reached: float

    @property
    def met(self) -> bool:
        """The best step counts."""
        return self.reached >= self.wanted

    def tell(self) -> str:
        """One line."""
        word = "met   " if self.met else "MISSED"
        return f"{word} {self.reached:7.2f} of {self.wanted:4.2f}  {self.what}"


def verdicts(rows: Iterable[Row]) -> Iterator[Verdict]:
    """Every target that the rows of one run let us judge."""
    cases: dict[tuple[str, str, str, int, int], dict[str, Row]] = {}
    for row in rows:
        case = (row.shape, row.dtype, row.task, row.batch, row.context)
        cases.setdefault(case, {})[row.engine] = row
    for engines in cases.values():
        if OURS in engines:
            judge = _decode if engines[OURS].task == "decode" else _prefill
            yield from judge(engines[OURS], engines)


def _decode(ours: Row, engines: Mapping[str, Row]) -> Iterator[Verdict]:
    where = f"decode {ours.shape} {ours.dtype}, batch {ours.batch}, context {ours.context}"
    if (theirs := engines.get("transformers")) is not None:
        wanted = 6.0 if ours.context >= LONG else 4.0
        yield Verdict(f"{where}: times Transformers", wanted, theirs.best_ms / ours.best_ms)
    if (theirs := engines.get("llama.cpp")) is not None:
        wanted = 1.1 if ours.batch == 1 or ours.context >= LONG else 1.0
        yield Verdict(f"{where}: times llama.cpp", wanted, theirs.best_ms / ours.best_ms)
    if ours.shape == "small" and ours.batch == 1:
        wanted = 0.7 if ours.dtype == "float32" else 0.6
        yield Verdict(f"{where}: of the read bandwidth", wanted, ours.limit_ms / ours.best_ms)


def _prefill(ours: Row, engines: Mapping[str, Row]) -> Iterator[Verdict]:
    where = f"prefill {ours.shape} {ours.dtype}, {ours.context} tokens"
    if ours.task == "shared prefill":
        return
    if (theirs := engines.get("transformers")) is not None:
        yield Verdict(f"{where}: times Transformers", 1.0, theirs.best_ms / ours.best_ms)
    wanted = 0.65 if ours.dtype == "float32" else 0.5
    yield Verdict(f"{where}: of torch.matmul", wanted, ours.limit_ms / ours.best_ms)


def prefix_verdicts(rows: Sequence[Row]) -> Iterator[Verdict]:
    """What a shared beginning saves, of whole prompts."""
    whole = {(row.shape, row.dtype): row for row in rows if _is(row, "prefill")}
    for row in rows:
        if _is(row, "shared prefill"):
            gain = whole[row.shape, row.dtype].best_ms / row.best_ms
            yield Verdict(f"prefill {row.shape} {row.dtype}, half of it shared", 1.5, gain)


def _is(row: Row, task: str) -> bool:
    return row.engine == OURS and row.task == task


def draft_verdicts(figures: Mapping[str, float]) -> Iterator[Verdict]:
    """Of the tiny checkpoint's MTP head."""
    yield Verdict("MTP of the tiny checkpoint, in the kernel", 1.2, figures["gain_in_the_kernel"])
    gain = figures["gain_through_the_server"]
    yield Verdict("MTP of the tiny checkpoint, through the server", 1.4, gain)


def embedded_verdicts(figures: Mapping[str, float]) -> Iterator[Verdict]:
    """Of SmolLM2 in 4 and 8 bits."""
    yield Verdict("SmolLM2: times Transformers' generate", 4.0, figures["ratio"])
