"""The durable side of runs: SQL is the truth, everything else only hurries it along.

Read `leases` first, then `writer` (the one place that writes a run's log), `journal` (how the
interpreter sees it), `claims`, `sweep`, and `host`, where a worker process puts them together.

* A run is a row with an **epoch** (raised by every claim: the fencing token) and a **seq** (the
  length of its log). Every write names both; who lost the run writes nothing.
* The **log** is the run's event feed, ledger and checkpoint at once.
* A **bell** (`treadle.platform.jobs`) says "look at these runs", a **hint** says "this was just
  committed". Either may be lost, doubled or late.
"""
