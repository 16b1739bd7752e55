"""The in-memory journal keeps the contract that the platform's keeps over SQL."""

import pytest
from tests.agents.interpreter.doubles import MemoryJournal
from tests.contract.journal import JournalContract
from typing_extensions import override

from treadle.agents.ports import Journal


class TestMemoryJournal(JournalContract):
    @pytest.fixture(autouse=True)
    def _empty(self) -> None:
        self.journal = MemoryJournal()

    @override
    async def reopen(self) -> Journal:
        self.journal = MemoryJournal(self.journal.committed)
        return self.journal
