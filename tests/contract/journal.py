"""What every `Journal` does, whatever is behind it. Subclass it and give it your journals."""

from dataclasses import replace

import pytest

from treadle.agents.ports import Journal, StepRecord, StepStatus


def entry(path: str, status: StepStatus, *, call: str | None = None) -> StepRecord:
    """A ledger entry whose output is its path."""
    node = path.split("[", maxsplit=1)[0]
    return StepRecord(path=path, node=node, item=None, status=status, call=call, output=path)


class JournalContract:
    """One run's ledger over the lives of several owners."""

    async def reopen(self) -> Journal:
        """The journal of the same run as its next owner sees it; the first call opens it."""
        raise NotImplementedError

    async def test_what_is_durable_is_there_for_the_next_owner(self) -> None:
        journal = await self.reopen()
        record = replace(entry("a", StepStatus.SUCCEEDED), reasoning="why", extra={"k": [1, None]})
        journal.append(record)
        await journal.durable()
        found = (await self.reopen()).finished("a")
        assert found is not None
        assert (found.output, found.reasoning, found.extra) == ("a", "why", {"k": [1, None]})

    async def test_nothing_is_finished_that_was_not_appended(self) -> None:
        assert (await self.reopen()).finished("never") is None

    @pytest.mark.parametrize(
        "status",
        [StepStatus.SUCCEEDED, StepStatus.RECOVERED, StepStatus.FAILED, StepStatus.SKIPPED],
    )
    async def test_these_are_finished(self, status: StepStatus) -> None:
        journal = await self.reopen()
        journal.append(entry("a", status))
        await journal.durable()
        found = (await self.reopen()).finished("a")
        assert found is not None
        assert found.status == status

    @pytest.mark.parametrize("status", [StepStatus.RUNNING, StepStatus.UNKNOWN])
    async def test_these_are_not(self, status: StepStatus) -> None:
        journal = await self.reopen()
        journal.append(entry("a", status), entry("b", StepStatus.SUCCEEDED))
        await journal.durable()
        reopened = await self.reopen()
        assert reopened.finished("a") is None
        assert reopened.finished("b") is not None

    async def test_the_next_owner_finds_how_far_each_place_was(self) -> None:
        journal = await self.reopen()
        journal.append(entry("a", StepStatus.SUCCEEDED), entry("a", StepStatus.WAITING))
        journal.append(entry("a", StepStatus.WAITING, call="answer"))
        await journal.durable()
        reopened = await self.reopen()
        assert reopened.finished("a") is None
        found = [reopened.earlier("a"), reopened.earlier("a", call="answer")]
        assert [one and one.status for one in found] == [StepStatus.WAITING] * 2
        assert reopened.earlier("b") is None

    async def test_calls_are_places_of_their_own(self) -> None:
        journal = await self.reopen()
        journal.append(entry("a", StepStatus.SUCCEEDED, call="model.0"))
        await journal.durable()
        reopened = await self.reopen()
        assert reopened.finished("a") is None
        assert reopened.finished("a", call="model.0") is not None
        assert reopened.finished("a", call="model.1") is None

    async def test_the_last_entry_counts_and_may_take_one_back(self) -> None:
        journal = await self.reopen()
        journal.append(entry("a", StepStatus.SUCCEEDED, call="intent"))
        journal.append(entry("a", StepStatus.CANCELLED, call="intent"))
        await journal.durable()
        assert (await self.reopen()).finished("a", call="intent") is None

    async def test_many_appends_are_one_order(self) -> None:
        journal = await self.reopen()
        for number in range(50):
            journal.append(replace(entry("a", StepStatus.SUCCEEDED), attempt=number + 1))
        await journal.durable()
        found = (await self.reopen()).finished("a")
        assert found is not None
        assert found.attempt == 50

    async def test_durable_with_nothing_new_returns(self) -> None:
        journal = await self.reopen()
        await journal.durable()
        await journal.durable()
