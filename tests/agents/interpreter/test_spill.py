"""Outputs of many items come back as they were, wherever they waited."""

from treadle.agents.steps.spill import KEPT, Spill
from treadle.agents.values import JsonValue


def test_values_come_back_from_memory_and_from_the_file() -> None:
    spill = Spill()
    values: list[JsonValue] = [
        {"text": f"é\ud800 {index}" + "x" * 50_000, "n": [1, 2.5, None, True]}
        for index in range(80)
    ]
    for index in reversed(range(80)):
        spill.put(index, values[index])
    spill.put(200, None)
    assert sum(50_000 for _ in values) > KEPT
    assert [spill.get(index) for index in range(80)] == values
    assert 200 in spill
    assert 80 not in spill
    assert spill.get(80) is None
    spill.close()
    assert 0 not in spill


def test_small_maps_touch_no_file() -> None:
    spill = Spill()
    for index in range(10_000):
        spill.put(index, {"n": index})
    assert spill.file_bytes == 0
    spill.close()
