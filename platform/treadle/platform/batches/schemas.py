"""What a batch looks like."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class BatchView(BaseModel):
    """A batch. `counts` has the rows by the status of their runs; one without a run has failed.

    It is `running` until every row has ended, then `succeeded` if every row has.
    """

    id: str
    agent: str
    status: Literal["running", "succeeded", "failed"]
    total: int
    counts: dict[str, int]
    created_at: datetime
