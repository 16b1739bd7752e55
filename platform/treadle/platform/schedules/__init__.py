"""Schedules: agents that start by the clock.

Read first: `timing` (from a rule to instants), then `firing` (what becomes of an instant), then
`clock` (the loop of a scheduler process). Any number of processes may tick: what is due is locked,
and a fire is one row of (schedule, instant), inserted with its run in one transaction.
"""
