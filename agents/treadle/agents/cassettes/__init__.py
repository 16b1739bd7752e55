"""Finished runs as cassettes: recorded once, redacted, replayed against another version.

A `Cassette` holds what came from outside in one run: the answers of models, tools and people, by
step path. `redacted` takes secrets and people's addresses out of it. `replaying.replay(cassette,
template, tools)` runs both versions on it, with no network and no model, and tells node by node
what differs (`comparison.Replay`). Neither of these two is imported here: they bring langgraph
along (30 MB), which who only records does not need.
"""

from treadle.agents.cassettes.cassette import Cassette, Recorded, recorded_steps
from treadle.agents.cassettes.errors import CassetteInvalid
from treadle.agents.cassettes.redaction import redacted

__all__ = ["Cassette", "CassetteInvalid", "Recorded", "recorded_steps", "redacted"]
