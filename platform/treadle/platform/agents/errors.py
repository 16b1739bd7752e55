"""What can go wrong with agents.

PlatformError
├── AgentExists            the name is taken
└── AgentInvalid           settings, bindings or triggers do not fit the template
"""

from collections.abc import Sequence

from treadle.agents.errors import Issue
from treadle.platform.errors import Conflict, Unprocessable


class AgentExists(Conflict):
    """The workspace has an agent of this name."""

    code = "agent_exists"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is an agent {name!r} already; change it or take another name")


class AgentInvalid(Unprocessable):
    """Settings, bindings or triggers do not fit the template; `issues` lists all that is wrong."""

    code = "agent_invalid"

    def __init__(self, issues: Sequence[Issue]) -> None:
        super().__init__(f"{issues[0].path}: {issues[0].message}", issues=list(issues))
