"""A stored file as a tool's result."""

from treadle.integrations.base import ArtifactRef, Result


class Artifact(Result):
    """What `GET /v1/artifacts/{id}` gives as a file."""

    id: str
    name: str
    media_type: str
    size: int
    sha256: str

    @classmethod
    def of(cls, ref: ArtifactRef) -> "Artifact":
        """The result for a stored file."""
        return cls(
            id=ref.id, name=ref.name, media_type=ref.media_type, size=ref.size, sha256=ref.sha256
        )


FILE_NAME = r"^[\w][\w .()-]{0,99}$"
"""Names of files: no separators, no leading dot."""
