"""The keyword table as the demo reads it from a run's outputs."""

from collections.abc import Mapping

from pydantic import BaseModel, ConfigDict, JsonValue, TypeAdapter, ValidationError

from treadle.platform.demo.errors import DemoFailed


class Figure(BaseModel):
    """A count that can be made again: `text` stands `count` times in the `zone` of `url`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    url: str
    zone: str
    count: int
    text: str


class TableRow(BaseModel):
    """What the demo shows of a row."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    keyword: str
    cluster_head: str
    intent: str
    intent_confidence: float
    opportunity: float | None
    difficulty_proxy: float | None
    count: int
    pages: int
    evidence: tuple[Figure, ...]


_ROWS: TypeAdapter[tuple[TableRow, ...]] = TypeAdapter(tuple[TableRow, ...])


def rows_of(outputs: Mapping[str, JsonValue] | None) -> tuple[TableRow, ...]:
    """The rows of a run, best first.

    Raises:
        DemoFailed: The run has none.
    """
    try:
        rows = _ROWS.validate_python((outputs or {}).get("rows"))
    except ValidationError as error:
        raise DemoFailed(f"the run's output `rows` is no keyword table: {error}") from error
    if not rows:
        raise DemoFailed("the run's keyword table is empty")
    return rows
