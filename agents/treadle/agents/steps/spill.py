"""Where the outputs of many items wait for the last one: in memory while they are small.

A map of 5,000 items of 10 kB would else hold 50 MB for its whole time, in a process that hosts
hundreds of runs.
"""

import json
import tempfile
from typing import IO

from treadle.agents.values import JsonValue

SMALL = 512  # bytes as JSON; about what an entry of the table costs anyhow
KEPT = 2_000_000  # bytes of larger values that one map holds in memory


class Spill:
    """Values by index, each put once. Close it: what does not fit in memory lies in a file.

    Attributes:
        file_bytes: How much lies there.
    """

    def __init__(self) -> None:
        self._values: dict[int, JsonValue] = {}
        self._places: dict[int, tuple[int, int]] = {}
        self._kept = 0
        self._file: IO[bytes] | None = None
        self.file_bytes = 0

    def put(self, index: int, value: JsonValue) -> None:
        """Take a value."""
        encoded = _encoded(value)
        if len(encoded) <= SMALL or self._kept + len(encoded) <= KEPT:
            self._kept += len(encoded) if len(encoded) > SMALL else 0
            self._values[index] = value
            return
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        self._file.seek(self.file_bytes)
        self._file.write(encoded)
        self._places[index] = (self.file_bytes, len(encoded))
        self.file_bytes += len(encoded)

    def get(self, index: int) -> JsonValue:
        """Give a value back; null where none was put."""
        place = self._places.get(index)
        if place is None or self._file is None:
            return self._values.get(index)
        self._file.seek(place[0])
        value: JsonValue = json.loads(self._file.read(place[1]).decode("utf-8", "surrogatepass"))
        return value

    def __contains__(self, index: int) -> bool:
        return index in self._values or index in self._places

    def close(self) -> None:
        """Let go of everything."""
        self._values.clear()
        self._places.clear()
        if self._file is not None:
            self._file.close()
            self._file = None


def _encoded(value: JsonValue) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "surrogatepass")
