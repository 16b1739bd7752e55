"""Versions as the database sorts them, the newest in a range, and the next free one."""

from collections.abc import Collection, Mapping

from treadle.agents.language.versions import Version, WrongVersion, parse_range, parse_version


def precedence(version: str) -> str:
    """A text whose byte order is semver's precedence.

    Numbers are padded. A release sorts after its pre-releases (`~`), a number before letters
    (`0` and `1`), and fewer parts before more (`!` lies below every character that may follow).
    """
    parsed = parse_version(version)
    core = f"{parsed.major:012}.{parsed.minor:012}.{parsed.patch:012}"
    if not parsed.pre:
        return f"{core}~"
    parts = ["0" + part.zfill(100) if part.isdigit() else "1" + part for part in parsed.pre]
    return core + "!" + "!".join(parts)


def newest_in_range(versions: Collection[str], wanted: str | None) -> str | None:
    """The newest version in a range; without one the newest release, else the newest of all.

    Raises:
        WrongVersion: The range is not written as it must be.
    """
    by_version: Mapping[Version, str] = {parse_version(text): text for text in versions}
    found = parse_range(wanted or "").newest(by_version)
    if found is None and wanted is None:
        found = max(by_version, default=None)
    return None if found is None else by_version[found]


def is_version(text: str) -> bool:
    """Whether a text names one version, not a range."""
    try:
        parse_version(text)
    except WrongVersion:
        return False
    return True


def next_free(version: str, taken: Collection[str]) -> str:
    """The first number after a version that is not taken."""
    candidate = parse_version(version).next_patch
    while str(candidate) in taken:
        candidate = candidate.next_patch
    return str(candidate)
