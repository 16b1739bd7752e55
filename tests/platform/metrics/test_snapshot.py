"""Numbers of many processes in one text."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.parser import text_string_to_metric_families

from treadle.platform.metrics.snapshot import read_snapshot, render, take_snapshot, write_snapshot


def a_registry(count: int) -> CollectorRegistry:
    registry = CollectorRegistry()
    Counter("things", 'A "quoted"\nhelp.', ["kind"], registry=registry).labels('a"b').inc(count)
    Gauge("size", "Bytes.", registry=registry).set(float("inf"))
    Histogram("seconds", "Time.", buckets=(1, 2), registry=registry).observe(1.5)
    return registry


def test_a_snapshot_is_read_as_it_was_written() -> None:
    families = take_snapshot(a_registry(2))
    assert read_snapshot(write_snapshot(families)) == families


def test_series_of_two_processes_are_kept_apart() -> None:
    text = render({"one": take_snapshot(a_registry(1)), "two": take_snapshot(a_registry(2))})
    families = {family.name: family for family in text_string_to_metric_families(text)}
    assert text.count("# TYPE things_total counter") == 1
    found = {s.labels["process"]: s.value for s in families["things"].samples}
    assert found == {"one": 1, "two": 2}
    assert families["things"].documentation == 'A "quoted"\nhelp.'
    assert families["things"].samples[0].labels["kind"] == 'a"b'
    buckets = [s.value for s in families["seconds"].samples if s.name == "seconds_bucket"]
    assert buckets == [0, 1, 1, 0, 1, 1]


def test_what_is_nobodys_has_no_process() -> None:
    assert 'process="' not in render({"": take_snapshot(a_registry(1))})
