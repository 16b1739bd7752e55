"""Every bound holds, and holds by counting: the same source and values always end alike."""

import time

import pytest

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions import compile_expression, compile_value
from treadle.agents.expressions.frame import LimitExceeded
from treadle.agents.values import JsonValue

BIG: dict[str, JsonValue] = {
    "xs": list(range(10_000)),
    "rows": [{"a": i, "b": "x" * 50} for i in range(5_000)],
    "text": "ab " * 300_000,
}
ZEROS: list[JsonValue] = [0] * 5_000
SQUARE: list[JsonValue] = [ZEROS] * 5_000
BIG["xxs"] = SQUARE


@pytest.mark.parametrize(
    "source",
    [
        "(" * 50 + "1" + ")" * 50,
        "not " * 3_000 + "true",
        "-" * 3_000 + "1",
        "[" * 60 + "]" * 60,
        "a" + ".b" * 2_100,
        "a" + ".b" * 60,
        " + ".join(["1"] * 1_500),
        "'" + "x" * 40_000 + "'",
        "9" * 5_000,
        "'" + "\\" * 33 + "'",
    ],
)
def test_a_source_that_is_too_large_or_deep_is_refused_quickly(source: str) -> None:
    started = time.process_time()
    with pytest.raises(ExpressionError):
        compile_expression(source)
    assert time.process_time() - started < 0.5


def test_blocks_nest_eight_deep_and_no_deeper() -> None:
    def nested(depth: int) -> str:
        return "${% if true %}" * depth + "x" + "${% endif %}" * depth

    assert compile_value(nested(8)).evaluate({}) == "x"
    with pytest.raises(ExpressionError, match="blocks nest deeper than 8"):
        compile_value(nested(9))


def test_literal_text_around_markers_does_not_count_as_source() -> None:
    long = "x" * 100_000
    assert compile_value(long + "${{ 1 }}").evaluate({}) == long + "1"


@pytest.mark.parametrize(
    "source",
    [
        "${% for a in xs %}${% for b in xs %}x${% endfor %}${% endfor %}",
        "${{ xs + xs }}",
        "${{ text ~ text }}",
        "${{ text | replace('a', text) }}",
        "${{ text | replace('a', 'aaaaaaaaaa') }}",
        "${{ xxs == xxs }}",
        "${{ xxs | flatten }}",
        "${{ xxs | tojson }}",
        "${{ [rows, rows] in [[rows, rows]] }}",
        "${{ rows | unique | unique | unique | unique | unique | unique | unique }}",
        "${% for x in xs %}${{ text }}${% endfor %}",
        "${% for x in xs %}${{ x in xs }}${% endfor %}",
        "${{ text | split }}",
        "${{ (text | urlencode) ~ (text | urlencode) }}",
    ],
)
def test_work_beyond_the_fuel_is_refused_quickly(source: str) -> None:
    compiled = compile_value(source)
    started = time.process_time()
    with pytest.raises(LimitExceeded):
        compiled.evaluate(BIG)
    assert time.process_time() - started < 0.25


def test_a_large_value_passed_whole_meets_no_limit() -> None:
    assert compile_value("${{ text }}").evaluate(BIG) is BIG["text"]
    assert compile_value({"all": "${{ xxs }}"}).evaluate(BIG) == {"all": BIG["xxs"]}


def test_the_same_evaluation_always_spends_the_same_fuel() -> None:
    compiled = compile_value("${% for r in rows %}${{ r.a }}${{ r.a }}${% endfor %}")
    few: JsonValue = [{"a": 1} for _ in range(3_000)]
    many: JsonValue = [{"a": 1} for _ in range(9_900)]
    answers = [compiled.evaluate({"rows": few}) for _ in range(3)]
    assert answers == ["1" * 6_000] * 3
    for _ in range(2):
        with pytest.raises(LimitExceeded):
            compiled.evaluate({"rows": many})
