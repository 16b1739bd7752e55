"""A checked expression's syntax tree, written as source again."""

import json

from jinja2 import nodes

_COMPARISONS = {
    "eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=", "in": "in",
    "notin": "not in",
}  # fmt: skip
_TIGHT = (nodes.Name, nodes.Const, nodes.Getattr, nodes.Getitem, nodes.List, nodes.Dict)


def written(node: nodes.Node) -> str:  # noqa: C901 - one case per node
    """Source that means the same; blanks and needless brackets may differ."""
    match node:
        case nodes.Const(value=value):
            return _constant(value)
        case nodes.Name(name=name):
            return name
        case nodes.Getattr(node=target, attr=key):
            return f"{_tight(target)}.{key}"
        case nodes.Getitem(node=target, arg=key):
            return f"{_tight(target)}[{written(key)}]"
        case nodes.Slice(start=start, stop=stop):
            return f"{_optional(start)}:{_optional(stop)}"
        case nodes.Filter(node=nodes.Node() as inner, name=name):
            return f"{_tight(inner)} | {name}{_arguments(node)}"
        case nodes.Test(node=inner, name=name):
            return f"{_tight(inner)} is {name}{_arguments(node)}"
        case nodes.Compare(expr=left, ops=[nodes.Operand(op=op, expr=right)]):
            return f"{_tight(left)} {_COMPARISONS[op]} {_tight(right)}"
        case nodes.BinExpr(left=left, right=right, operator=operator):
            return f"{_tight(left)} {operator} {_tight(right)}"
        case nodes.UnaryExpr(node=inner, operator=operator):
            return f"{operator} {_tight(inner)}" if operator == "not" else f"-{_tight(inner)}"
        case nodes.Concat(nodes=parts):
            return " ~ ".join(_tight(part) for part in parts)
        case nodes.CondExpr(test=test, expr1=yes, expr2=no):
            otherwise = "" if no is None else f" else {_tight(no)}"
            return f"{_tight(yes)} if {_tight(test)}{otherwise}"
        case nodes.List(items=items):
            return f"[{', '.join(written(item) for item in items)}]"
        case nodes.Tuple(items=items):
            return f"({', '.join(written(item) for item in items)})"
        case nodes.Dict(items=items):
            return f"{{{', '.join(written(item) for item in items)}}}"
        case nodes.Pair(key=key, value=value):
            return f"{written(key)}: {written(value)}"
        case nodes.Keyword(key=key, value=value):
            return f"{key}={written(value)}"
        case _:
            return type(node).__name__.lower()


def _tight(node: nodes.Node) -> str:
    """The same, in brackets unless it cannot fall apart."""
    if isinstance(node, _TIGHT) or (isinstance(node, nodes.Filter) and not node.args):
        return written(node)
    return f"({written(node)})"


def _optional(node: nodes.Node | None) -> str:
    return "" if node is None else written(node)


def _arguments(node: nodes.Filter | nodes.Test) -> str:
    given = [written(argument) for argument in (*node.args, *node.kwargs)]
    return f"({', '.join(given)})" if given else ""


def _constant(value: object) -> str:
    if isinstance(value, str):
        text = json.dumps(value, ensure_ascii=False)[1:-1]
        return "'" + text.replace('\\"', '"').replace("'", "\\'") + "'"
    return "none" if value is None else json.dumps(value)
