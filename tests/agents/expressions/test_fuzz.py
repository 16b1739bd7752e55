"""Random templates: whatever the source, either a JSON value or an `ExpressionError`, and soon.

`make fuzz` runs 100,000; `make test` a seeded sample. A failing case prints its seed and source.
"""

import json
import random
import string
import time

import pytest

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions import compile_value
from treadle.agents.expressions.filters import FILTERS
from treadle.agents.values import JsonValue

CPU_LIMIT_S = 0.1
"""Per template; a slow one is measured again, so that a busy machine is not a finding."""

SCOPE: dict[str, JsonValue] = {
    "inputs": {"s": "héllo wörld " * 40, "n": 7, "f": -1.5, "t": True, "none": None, "e": ""},
    "rows": [{"k": str(i % 7), "v": i, "tags": ["a", "b"], "o": {"d": i}} for i in range(400)],
    "nums": list(range(-50, 2000)),
    "strs": ["x" * (i % 90) for i in range(300)],
    "deep": {"a": {"b": {"c": [[1, [2, [3]]]]}}},
    "big": "lorem ipsum " * 20_000,
    "empty": [],
}
NAMES = [*SCOPE, "missing", "inputs.s", "inputs.none", "deep.a.b", "rows[0]", "rows[-1].o", "_x"]
LITERALS = [
    *("0", "1", "-3", "2.5", "1e300", "9223372036854775807", "10000", "true", "none", "[]", "{}"),
    *("''", "'a'", "'v'", "'k'", "'tags'", "'%Y'", "[1,'a',none]", "{'k':1}"),
]
OPERATORS = ["+", "-", "*", "/", "//", "%", "~", "and", "or", "==", "!=", "<", ">=", "in",
             "not in", "**", "is", "|"]  # fmt: skip
TESTS = ["defined", "undefined", "none", "string", "number", "boolean", "odd", "callable"]
HOSTILE = [
    *("__class__", "mro()", "self", "range(9)", "cycler", "joiner()", "${{", "}}", "%}", "{#"),
    *("\\", "\x00", "'", '"', "#}", "\ud800"),
]


class Generator:
    """Random sources: mostly well-formed, often wrong in type, sometimes broken on purpose."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def source(self) -> str:
        """One text with markers."""
        made = "".join(self.piece(2) for _ in range(self.random.randint(1, 4)))
        return self.mutate(made) if self.random.random() < 0.3 else made

    def piece(self, depth: int) -> str:
        roll = self.random.random()
        if roll < 0.6 or depth == 0:
            return "${{ " + self.expression(self.random.randint(1, 4)) + " }}"
        inner = self.piece(depth - 1)
        if roll < 0.75:
            return f"${{% if {self.expression(2)} %}}{inner}${{% else %}}-${{% endif %}}"
        if roll < 0.92:
            return f"${{% for x in {self.expression(2)} %}}{inner}${{{{ x }}}}${{% endfor %}}"
        return "".join(self.random.choices(string.printable, k=self.random.randint(1, 12)))

    def expression(self, depth: int) -> str:
        if depth == 0:
            return self.random.choice(NAMES + LITERALS)
        inner = self.expression(depth - 1)
        match self.random.randint(0, 9):
            case 0 | 1:
                return f"({inner} {self.random.choice(OPERATORS)} {self.expression(depth - 1)})"
            case 2 | 3 | 4:
                arguments = ", ".join(self.expression(0) for _ in range(self.random.randint(0, 2)))
                chosen = self.random.choice([*FILTERS, "default", "map", "eval"])
                return f"({inner} | {chosen}({arguments}))"
            case 5:
                return f"({inner} is {self.random.choice(TESTS)})"
            case 6:
                return f"({inner} if {self.expression(depth - 1)} else {self.expression(0)})"
            case 7:
                return f"{inner}[{self.expression(0)}:{self.expression(0)}]"
            case 8:
                return f"[{inner}, {{'a': {self.expression(0)}}}]"
            case _:
                return f"{inner}.{self.random.choice(['k', 's', 'length', '__init__', '0'])}"

    def mutate(self, source: str) -> str:
        at = self.random.randrange(len(source))
        cut = self.random.randint(0, 5)
        put = self.random.choice([*HOSTILE, "".join(self.random.choices(string.printable, k=3))])
        return source[:at] + put * self.random.choice([1, 1, 1, 40]) + source[at + cut :]


def evaluate(source: str) -> tuple[str, float]:
    """Compile and evaluate; returns what came of it and the CPU seconds it took."""
    started = time.process_time()
    try:
        value = compile_value(source).evaluate(SCOPE)
    except ExpressionError as error:
        return f"error: {error.message}", time.process_time() - started
    except Exception as error:
        error.add_note(f"from {source!r}")
        raise
    spent = time.process_time() - started
    if value is not SCOPE.get("big"):
        json.dumps(value, allow_nan=False)  # raises for anything that is not JSON
    return "value", spent


@pytest.mark.slow
def test_random_templates_end_in_a_value_or_a_clear_error(fuzz_cases: int) -> None:
    ends = {"value": 0, "error": 0}
    for seed in range(fuzz_cases):
        source = Generator(seed).source()
        end, spent = evaluate(source)
        if spent > CPU_LIMIT_S:
            spent = min(spent, *(evaluate(source)[1] for _ in range(3)))
        assert spent <= CPU_LIMIT_S, f"seed {seed}: {spent:.3f} s for {source!r}"
        ends[end.split(":")[0]] += 1
    assert ends["value"] > fuzz_cases / 50, "the generator makes too few valid templates"
    assert ends["error"] > fuzz_cases / 50, "the generator makes too few wrong templates"


def test_the_same_seed_gives_the_same_end() -> None:
    for seed in range(200):
        source = Generator(seed).source()
        assert evaluate(source)[0] == evaluate(source)[0]
