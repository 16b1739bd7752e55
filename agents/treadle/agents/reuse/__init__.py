"""Incremental runs: which finished steps of a run still stand for another one.

`standing` decides by paths alone, from the two versions of the template; nothing runs and nothing
is read. What it keeps is copied into the new run's ledger, and the interpreter finds it there.
"""

from treadle.agents.reuse.standing import Change, inputs_read, standing

__all__ = ["Change", "inputs_read", "standing"]
