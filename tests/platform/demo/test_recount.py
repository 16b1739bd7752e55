"""Counting again finds what is there, and what is not."""

from collections.abc import Iterator

import pytest

from treadle.platform.demo.errors import DemoFailed
from treadle.platform.demo.recount import holds, recounted, sample_figures
from treadle.platform.demo.rows import Figure, TableRow, rows_of
from treadle.platform.demo.sites import served_samples


@pytest.fixture(scope="module")
def page() -> Iterator[str]:
    with served_samples() as web:
        yield f"{web.sites[2].origin}/crm-pricing.html"


@pytest.mark.parametrize(
    ("zone", "text", "count"),
    [
        ("title", "crm pricing", 1),
        ("description", "crm pricing", 1),
        ("headings", "free trial", 1),
        ("body", "14 euros", 1),
        ("anchors", "crm data migration guide", 1),
        ("json_ld", "crm pricing", 2),
    ],
)
def test_a_true_figure_holds(page: str, zone: str, text: str, count: int) -> None:
    figure = Figure(url=page, zone=zone, count=count, text=text)
    ((_, found),) = recounted([figure])
    assert holds(figure, found)


@pytest.mark.parametrize(
    ("zone", "text", "count"),
    [("title", "crm pricing", 2), ("body", "crm for dentists", 1), ("headings", "free trial", 9)],
)
def test_a_false_figure_does_not_hold(page: str, zone: str, text: str, count: int) -> None:
    figure = Figure(url=page, zone=zone, count=count, text=text)
    ((_, found),) = recounted([figure])
    assert not holds(figure, found)


def test_a_page_that_is_gone_has_nothing() -> None:
    figure = Figure(url="http://127.0.0.1:9/", zone="body", count=1, text="x")
    assert recounted([figure]) == [(figure, 0)]


def test_figures_are_taken_from_all_over_the_table() -> None:
    rows = [
        TableRow(
            keyword=str(n),
            cluster_head=str(n),
            intent="commercial",
            intent_confidence=1,
            opportunity=1,
            difficulty_proxy=None,
            count=1,
            pages=1,
            evidence=(Figure(url=str(n), zone="body", count=1, text="x"),),
        )
        for n in range(100)
    ]
    assert [figure.url for figure in sample_figures(rows, size=4)] == ["0", "25", "50", "75"]


def test_outputs_without_a_table_fail_the_demo() -> None:
    with pytest.raises(DemoFailed, match="empty"):
        rows_of({"rows": []})
    with pytest.raises(DemoFailed, match="no keyword table"):
        rows_of(None)
