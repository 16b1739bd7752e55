"""Why an expectation does not hold: its parts, and what they came to."""

import difflib
import json
from collections.abc import Iterator, Mapping

from jinja2 import nodes

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions.frame import Frame
from treadle.agents.expressions.operators import build
from treadle.agents.expressions.syntax import parse_expression
from treadle.agents.testing.writing import written
from treadle.agents.values import JsonValue

LONGEST = 300
MOST_DIFF_LINES = 40

Scope = Mapping[str, JsonValue]


def explain(source: str, scope: Scope) -> list[str]:
    """A line for every part of an expectation that helps to see why it is false."""
    tree, _ = parse_expression(source)
    return list(dict.fromkeys(_reasons(tree, scope)))


def _reasons(node: nodes.Node, scope: Scope) -> Iterator[str]:
    match node:
        case nodes.And(left=left, right=right):
            yield from _reasons(left if not _holds(left, scope) else right, scope)
        case nodes.Or(left=left, right=right):
            yield from _reasons(left, scope)
            yield from _reasons(right, scope)
        case nodes.Not(node=inner):
            yield from _values(inner, scope)
        case nodes.Compare(expr=left, ops=[nodes.Operand(op=op, expr=right)]):
            yield from _values(left, scope)
            yield from _values(right, scope)
            if op == "eq":
                yield from _difference(left, right, scope)
        case nodes.Test(node=inner):
            yield from _values(inner, scope)
        case _:
            yield from _values(node, scope)


def _values(node: nodes.Node, scope: Scope) -> Iterator[str]:
    """What a part came to; for a filter also what went into it."""
    if isinstance(node, nodes.Const | nodes.List | nodes.Dict | nodes.Tuple):
        return
    try:
        shown = _short(_evaluate(node, scope))
    except ExpressionError as error:
        yield f"{written(node)} cannot be evaluated: {error.message}"
    else:
        yield f"{written(node)} is {shown}"
    source = _source(node)
    if source is not node:
        yield from _values(source, scope)


def _source(node: nodes.Node) -> nodes.Node:
    """What filters and subscripts were applied to."""
    while True:
        match node:
            case nodes.Filter(node=nodes.Node() as inner) | nodes.Getitem(node=inner):
                node = inner
            case _:
                return node


def _difference(left: nodes.Node, right: nodes.Node, scope: Scope) -> Iterator[str]:
    """A diff of two structures or long texts, line by line."""
    try:
        found, wanted = _evaluate(left, scope), _evaluate(right, scope)
    except ExpressionError:
        return
    if not (_has_lines(found) and _has_lines(wanted)):
        return
    lines = list(
        difflib.unified_diff(_lines(wanted), _lines(found), "expected", "found", lineterm="", n=2)
    )
    yield from lines[:MOST_DIFF_LINES]
    if len(lines) > MOST_DIFF_LINES:
        yield f"… {len(lines) - MOST_DIFF_LINES} more lines"


def _holds(node: nodes.Node, scope: Scope) -> bool:
    try:
        return bool(_evaluate(node, scope))
    except ExpressionError:
        return False


def _evaluate(node: nodes.Node, scope: Scope) -> JsonValue:
    return build(node, frozenset())(Frame(scope))


def _has_lines(value: JsonValue) -> bool:
    return isinstance(value, list | dict) or (isinstance(value, str) and "\n" in value)


def _lines(value: JsonValue) -> list[str]:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=2)
    return text.splitlines()


def _short(value: JsonValue) -> str:
    text = json.dumps(value, ensure_ascii=False)
    if len(text) <= LONGEST:
        return text
    return f"{text[:LONGEST]}… ({len(text)} characters)"
