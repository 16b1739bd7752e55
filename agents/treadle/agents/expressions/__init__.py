"""Expressions `${{ … }}` and text blocks `${% … %}`: Jinja's syntax, our own closed evaluator.

Public surface:

* `compile_expression(source)`: a bare expression (`when`, `until`, `expect`).
* `compile_value(value)`: any JSON value whose strings may hold markers (`with`, `output`, …).

Both give a `Compiled` with `references` (found before a run) and `evaluate(scope)`.
"""

from treadle.agents.expressions.compiled import (
    Compiled,
    Reference,
    compile_expression,
    compile_value,
)

__all__ = ["Compiled", "Reference", "compile_expression", "compile_value"]
