"""Every bound of the expression language; the same on any machine, so a replayed run agrees.

Source: the limits tried against a fuzz of 100,000 templates, see `make fuzz`.
"""

MAX_SOURCE = 32 * 1024
"""Characters of marked source (literal text around markers does not count)."""
MAX_NODES = 2_000
MAX_DEPTH = 40
MAX_BLOCK_DEPTH = 8
FUEL = 50_000
"""One unit is one operator, one list element looked at, or `CHARACTERS_PER_FUEL` of text."""
CHARACTERS_PER_FUEL = 64
MAX_STRING = 1_000_000
MAX_LIST = 10_000
MAX_OUTPUT = 1_000_000
MAX_INT = 2**63 - 1
