"""One step: what a node type is given when its turn comes, and what it may do.

Node types (`treadle.agents.nodes`) build on this package; the interpreter runs what they build.
Read `turn.py` first, then `graph.py`.

* `graph.py`: a compiled node, body and unit of work; immutable, shared by all runs.
* `frame.py`: where a step stands in one run (root, item, pass), which is also its scope.
* `turn.py`: one node's turn: its path, its evaluation of fields, its effects and ledger entries.
* `gate.py`: what every step passes before its work.
* `attempts.py`: retries and timeouts. `keys.py`: idempotency keys. `run.py`: one run's state.
"""
