"""Shares as templates write them: `15%`."""

import re
from typing import Annotated

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

PATTERN = r"^\d{1,3}(\.\d{1,2})?%$"


def _read(raw: object) -> object:
    if isinstance(raw, float):
        return raw
    if isinstance(raw, str) and re.fullmatch(PATTERN.strip("^$"), raw, re.ASCII):
        share = float(raw.removesuffix("%")) / 100
        if share <= 1:
            return share
    raise PydanticCustomError("share", "expected a share such as 15%, from 0% to 100%")


Share = Annotated[
    float,
    BeforeValidator(_read),
    WithJsonSchema({"type": "string", "pattern": PATTERN, "examples": ["15%"]}),
]
