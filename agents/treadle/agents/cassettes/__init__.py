"""Finished runs as cassettes: recorded once, redacted, replayed against another version.

A `Cassette` holds what came from outside in one run: the answers of models, tools and people, by
step path. `redacted` takes secrets and people's addresses out of it. `replay(cassette, template)`
runs both versions on it, with no network and no model, and tells node by node what differs.
"""

from treadle.agents.cassettes.cassette import Cassette, Recorded, recorded_steps
from treadle.agents.cassettes.comparison import Difference, Replay
from treadle.agents.cassettes.errors import CassetteInvalid
from treadle.agents.cassettes.redaction import redacted
from treadle.agents.cassettes.replaying import replay

__all__ = [
    "Cassette",
    "CassetteInvalid",
    "Difference",
    "Recorded",
    "Replay",
    "recorded_steps",
    "redacted",
    "replay",
]
