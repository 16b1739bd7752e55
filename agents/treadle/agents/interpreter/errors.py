"""What can go wrong before a graph runs.

AgentsError
└── NodeTypeNotRunnable    the template uses a node type that this version cannot run
"""

from treadle.agents.errors import AgentsError


class NodeTypeNotRunnable(AgentsError):
    """A node type of the language has no work in this version."""

    def __init__(self, path: str, use: str) -> None:
        super().__init__(f"{path}: this version cannot run {use!r} nodes yet; remove the node")
        self.path = path
        self.use = use
