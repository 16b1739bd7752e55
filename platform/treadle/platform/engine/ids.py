"""Ids of the engine."""

from typing import NewType
from uuid import UUID

RunId = NewType("RunId", UUID)
