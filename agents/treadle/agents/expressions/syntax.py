"""From source to a checked syntax tree. Jinja parses; nothing of Jinja ever runs a template."""

import re
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from jinja2 import Environment, TemplateSyntaxError, nodes
from jinja2.lexer import TOKEN_DATA, TOKEN_NAME, TOKEN_OPERATOR, TOKEN_STRING

from treadle.agents.errors import ExpressionError
from treadle.agents.expressions import limits

OPEN = "${{"
CLOSE = "}}"
BLOCK_OPEN = "${%"

# A NUL can stand in no template, so comments, which would swallow text, can never begin.
_ENVIRONMENT = Environment(  # noqa: S701 - nothing is rendered, so nothing is escaped
    block_start_string=BLOCK_OPEN,
    block_end_string="%}",
    variable_start_string=OPEN,
    variable_end_string=CLOSE,
    comment_start_string="\x00#",
    comment_end_string="#\x00",
    keep_trailing_newline=True,
)
_BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}
_BAD_ESCAPE = re.compile(r"\\(?![\n\\'\"abfnrtvx0-7uUN])")
_NOT_A_NAME_AFTER = frozenset({".", "|"})


@dataclass(slots=True)
class Positions:
    """Where each name stands in the source; the parser itself keeps only line numbers."""

    by_name: dict[str, deque[int]] = field(default_factory=dict[str, "deque[int]"])

    def next(self, name: str) -> int:
        """The offset of the next occurrence of a name, in reading order."""
        queue = self.by_name.get(name)
        if not queue:
            return 0
        return queue.popleft() if len(queue) > 1 else queue[0]


def has_markers(source: str) -> bool:
    """Whether a string is more than literal text."""
    return OPEN in source or BLOCK_OPEN in source


def parse(source: str) -> tuple[list[nodes.Node], Positions]:
    """Parse text with markers; raises `ExpressionError` for what cannot be or is not allowed."""
    positions = _scan(source)
    try:
        tree = _ENVIRONMENT.parse(source)
    except TemplateSyntaxError as error:
        raise ExpressionError(
            _plain(error.message or "not an expression"), offset=_line_offset(source, error.lineno)
        ) from None
    except RecursionError:
        raise ExpressionError("the expression is nested too deeply") from None
    except (ValueError, OverflowError) as error:
        raise ExpressionError(f"a literal cannot be read: {error}") from None
    _check(tree)
    return tree.body, positions


def parse_expression(source: str) -> tuple[nodes.Expr, Positions]:
    """Parse a bare expression, as `when` has it."""
    if has_markers(source):
        raise ExpressionError("write the expression alone here, without ${{ }}")
    body, positions = parse(f"{OPEN} {source} {CLOSE}")
    shifted = Positions(
        {
            name: deque(max(0, at - len(OPEN) - 1) for at in q)
            for name, q in positions.by_name.items()
        }
    )
    match body:
        case [nodes.Output(nodes=[nodes.Expr() as expression])] if not isinstance(
            expression, nodes.TemplateData
        ):
            return expression, shifted
        case _:
            raise ExpressionError("expected one expression")


def _scan(source: str) -> Positions:
    """Read the tokens once: names' offsets, bracket depth, escapes, size of the marked source."""
    positions = Positions()
    offset = depth = marked = 0
    previous = ""
    try:
        for _, kind, value in _ENVIRONMENT.lexer.tokeniter(source, None):
            if kind != TOKEN_DATA:
                marked += len(value)
            if kind == TOKEN_OPERATOR:
                depth += _BRACKETS.get(value, 0)
            elif kind == TOKEN_STRING and _BAD_ESCAPE.search(value):
                raise ExpressionError(
                    f"unknown escape in {value[:40]}; write a backslash as \\\\", offset=offset
                )
            elif kind == TOKEN_NAME and previous not in _NOT_A_NAME_AFTER:
                positions.by_name.setdefault(value, deque()).append(offset)
            if depth > limits.MAX_DEPTH:
                raise ExpressionError(
                    f"brackets nest deeper than {limits.MAX_DEPTH}", offset=offset
                )
            if value.strip():
                previous = value
            offset += len(value)
    except TemplateSyntaxError as error:
        raise ExpressionError(
            _plain(error.message or "not an expression"), offset=_line_offset(source, error.lineno)
        ) from None
    if marked > limits.MAX_SOURCE:
        raise ExpressionError(
            f"more than {limits.MAX_SOURCE:,} characters of expressions in one text"
        )
    return positions


def _line_offset(source: str, line: int) -> int:
    lines = source.splitlines(keepends=True)
    return sum(map(len, lines[: line - 1])) if line <= len(lines) else 0


def _plain(message: str) -> str:
    """Jinja's words with our markers and without its own vocabulary."""
    return message.replace("end of print statement", CLOSE).replace("template", "text")


_ALLOWED: tuple[type[nodes.Node], ...] = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.If, nodes.For,
    nodes.Const, nodes.Name, nodes.Getattr, nodes.Getitem, nodes.Slice,
    nodes.Add, nodes.Sub, nodes.Mul, nodes.Div, nodes.FloorDiv, nodes.Mod, nodes.Concat,
    nodes.And, nodes.Or, nodes.Not, nodes.Neg, nodes.Compare, nodes.Operand, nodes.CondExpr,
    nodes.List, nodes.Tuple, nodes.Dict, nodes.Pair, nodes.Test, nodes.Filter, nodes.Keyword,
)  # fmt: skip

_REFUSED: dict[type[nodes.Node], str] = {
    nodes.Call: "calls are not allowed; use a filter: `value | filter`",
    nodes.Pow: "`**` is not allowed",
    nodes.Pos: "a leading `+` is not allowed",
    nodes.Assign: "`set` is not allowed; use a `set` node",
    nodes.AssignBlock: "`set` is not allowed; use a `set` node",
    nodes.FilterBlock: "filter blocks are not allowed; use `value | filter`",
}


def _check(tree: nodes.Template) -> None:
    """Refuse every construct outside the closed list, and trees that are too large."""
    count = 0
    level: list[tuple[nodes.Node, int]] = [(tree, 0)]
    while level:
        deeper: list[tuple[nodes.Node, int]] = []
        for node, blocks in level:
            count += 1
            _check_node(node)
            inside = blocks + isinstance(node, nodes.If | nodes.For)
            if inside > limits.MAX_BLOCK_DEPTH:
                raise ExpressionError(f"blocks nest deeper than {limits.MAX_BLOCK_DEPTH}")
            deeper.extend((child, inside) for child in node.iter_child_nodes())
        level = deeper
        if count > limits.MAX_NODES:
            raise ExpressionError(f"the expression has more than {limits.MAX_NODES:,} parts")
    if _depth([tree]) > limits.MAX_DEPTH:
        raise ExpressionError(f"the expression nests deeper than {limits.MAX_DEPTH}")


def _depth(level: Iterable[nodes.Node]) -> int:
    depth = 0
    while level := [child for node in level for child in node.iter_child_nodes()]:
        depth += 1
    return depth


def _check_node(node: nodes.Node) -> None:
    if not isinstance(node, _ALLOWED):
        kind = type(node)
        raise ExpressionError(_REFUSED.get(kind, f"`{kind.__name__.lower()}` is not allowed here"))
    match node:
        case nodes.Name(name=name) if name.startswith("_"):
            raise ExpressionError(f"names must not start with an underscore: {name!r}")
        case nodes.Getattr(attr=key) | nodes.Getitem(arg=nodes.Const(value=str() as key)):
            if key.startswith("__"):
                raise ExpressionError(f"keys must not start with two underscores: {key!r}")
        case nodes.Const(value=value):
            check_constant(value)
        case nodes.Slice(step=step) if step is not None:
            raise ExpressionError("a slice has no step here")
        case nodes.Compare(ops=ops) if len(ops) != 1:
            raise ExpressionError("write `a < b and b < c`; comparisons cannot be chained")
        case nodes.For(test=test, recursive=recursive) if test is not None or recursive:
            raise ExpressionError("`for` takes no `if` and no `recursive`; filter with `where`")
        case _:
            pass


def check_constant(value: object) -> None:
    """Refuse literals JSON cannot hold: complex and infinite numbers, lone surrogates."""
    if isinstance(value, str) and any("\ud800" <= char <= "\udfff" for char in value):
        raise ExpressionError("a text holds half a character (a lone surrogate)")
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        raise ExpressionError("a number is too large")
    if isinstance(value, int) and abs(value) > limits.MAX_INT:
        raise ExpressionError("a whole number needs more than 64 bits")
