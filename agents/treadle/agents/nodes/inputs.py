"""Declared inputs: one JSON Schema per name, of a template, of an approval's form."""

from dataclasses import dataclass
from typing import Annotated, Any, TypeAlias

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from treadle.agents.values import JsonObject, JsonValue


@dataclass(frozen=True, slots=True, eq=False)
class Input:
    """One declared input.

    Attributes:
        schema: JSON Schema 2020-12, as written but without `optional`.
        optional: Absent means null.
    """

    schema: JsonObject
    optional: bool

    @property
    def has_default(self) -> bool:
        """Whether the schema names a value for when it is absent."""
        return "default" in self.schema

    @property
    def default(self) -> JsonValue:
        """The value when absent; null where none is named."""
        return self.schema.get("default")

    @property
    def is_required(self) -> bool:
        """Whether a run must give it."""
        return not (self.optional or self.has_default)

    @property
    def is_file(self) -> bool:
        """Whether it takes the id of an uploaded file."""
        return self.schema.get("format") == "file"


class ReadsInput:
    """Annotation of an `Input`."""

    def __get_pydantic_core_schema__(
        self, source: object, handler: GetCoreSchemaHandler
    ) -> core_schema.CoreSchema:
        """Take `optional` apart; the schema itself is checked with the rest of the template."""
        return core_schema.no_info_plain_validator_function(_read)

    def __get_pydantic_json_schema__(
        self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> dict[str, Any]:  # Any: pydantic's own type for a JSON Schema
        """Any JSON Schema, and `optional`."""
        return {
            "type": "object",
            "$ref": "https://json-schema.org/draft/2020-12/schema",
            "properties": {"optional": {"type": "boolean"}},
        }


def _read(raw: "JsonValue | Input") -> Input:
    if isinstance(raw, Input):
        return raw
    if not isinstance(raw, dict):
        raise PydanticCustomError("dict_type", "expected a JSON Schema such as {type: string}")
    optional = raw.get("optional", False)
    if not isinstance(optional, bool):
        raise PydanticCustomError("bool_type", "`optional` is true or false")
    return Input({key: item for key, item in raw.items() if key != "optional"}, optional)


Inputs: TypeAlias = dict[str, Annotated[Input, ReadsInput()]]
