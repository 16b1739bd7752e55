"""What can go wrong with cassettes.

AgentsError
└── CassetteInvalid        a file is no cassette, or its inputs fit the new version no longer
"""

from treadle.agents.errors import AgentsError


class CassetteInvalid(AgentsError):
    """It cannot be replayed; the message says why and what to do."""
