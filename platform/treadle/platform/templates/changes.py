"""What changed between two texts of a template: lines, and nodes by id."""

import difflib

from pydantic import BaseModel

from treadle.platform.templates.library import Checked


class NodeChanges(BaseModel):
    """Ids of top-level nodes."""

    added: list[str]
    removed: list[str]
    changed: list[str]


class TemplateDiff(BaseModel):
    """From one version to another; `text` is a unified diff."""

    name: str
    from_version: str
    to_version: str
    text: str
    nodes: NodeChanges


def compare(old: Checked, new: Checked) -> TemplateDiff:
    """Compare two texts; nodes are compared by what they mean, not how they are written."""
    before, after = old.template.nodes, new.template.nodes
    lines = difflib.unified_diff(
        old.text.splitlines(keepends=True),
        new.text.splitlines(keepends=True),
        fromfile=old.template.version,
        tofile=new.template.version,
    )
    return TemplateDiff(
        name=new.template.name,
        from_version=old.template.version,
        to_version=new.template.version,
        text="".join(lines),
        nodes=NodeChanges(
            added=sorted(after.keys() - before.keys()),
            removed=sorted(before.keys() - after.keys()),
            changed=sorted(n for n in before.keys() & after.keys() if before[n] != after[n]),
        ),
    )
