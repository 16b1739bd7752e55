"""The template language `treadle: 1`: loading with positions, checking, schema, inputs.

* `parse_template(text, tools=…)` gives a `CheckedTemplate`, or raises `TemplateInvalid` with every
  issue; `check_template` gives the issues alone.
* `validate_inputs(template, inputs)` fills in a run's inputs.
* `template_schema(tools)` is the language as JSON Schema.
* `graph` has the edges of a scope and the order to run it in.
"""

from treadle.agents.language.checked import CheckedTemplate, check_template, parse_template
from treadle.agents.language.inputs import declared_inputs, fill_inputs, validate_inputs
from treadle.agents.language.model import Template
from treadle.agents.language.schema import template_schema

__all__ = [
    "CheckedTemplate",
    "Template",
    "check_template",
    "declared_inputs",
    "fill_inputs",
    "parse_template",
    "template_schema",
    "validate_inputs",
]
