"""What can go wrong with an import.

AgentsError
└── ImportFailed           the file is no workflow that can become a template
"""

from treadle.agents.errors import AgentsError


class ImportFailed(AgentsError):
    """The file is no workflow that can become a template; the message says why."""
