"""What ends a template's test before its expectations are asked.

AgentsError
└── TestBroken             the test itself cannot go on; its message is for people
    ├── MockMissing        a node was reached that only a mock can answer
    └── MockUnfit          a mock has nothing for the item or pass that was reached
"""

from typing import ClassVar

from treadle.agents.errors import AgentsError


class TestBroken(AgentsError):
    """The test cannot go on."""

    __test__: ClassVar[bool] = False  # pytest takes classes of this name for tests


class MockMissing(TestBroken):
    """A node reaches outside, and the test has no mock for it."""

    def __init__(self, node: str, use: str) -> None:
        super().__init__(
            f"reached `{node}` ({use}), which has no mock; add `{node}:` to the test's `mock`"
        )
        self.node = node


class MockUnfit(TestBroken):
    """`$each` has no entry for where the run is."""

    def __init__(self, node: str, path: str, why: str) -> None:
        super().__init__(f"the mock of `{node}` does not fit step `{path}`: {why}")
        self.node = node
