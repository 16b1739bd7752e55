"""Reading the owner's YAML: one mapping, no key twice."""

from pathlib import Path

import yaml
from pydantic import JsonValue
from yaml.nodes import MappingNode, Node, ScalarNode

from treadle.integrations.models.errors import BadModelsFile

MAX_BYTES = 256 * 1024


def read_mapping(path: Path) -> dict[str, object]:
    """The file's top-level mapping; raises `BadModelsFile` with the line."""
    text = path.read_text(encoding="utf-8")
    if len(text) > MAX_BYTES:
        raise BadModelsFile(str(path), f"is larger than {MAX_BYTES // 1024} KiB")
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
        _check_keys(str(path), root)
        value: JsonValue = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadModelsFile(str(path), str(error)) from error
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise BadModelsFile(str(path), "must be a mapping of alias to endpoint")
    return {str(alias): entry for alias, entry in value.items()}


def _check_keys(source: str, node: Node | None) -> None:
    if not isinstance(node, MappingNode):
        return
    seen: set[str] = set()
    for key, value in node.value:
        if isinstance(key, ScalarNode):
            if key.value in seen:
                line = key.start_mark.line + 1
                raise BadModelsFile(source, f"line {line}: the key {key.value!r} is there twice")
            seen.add(key.value)
        _check_keys(source, value)
