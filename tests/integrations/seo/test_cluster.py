"""Clusters by shared results and by wording, and the linkage below."""

from statistics import fmean

from hypothesis import given
from hypothesis import strategies as st
from tests.integrations.seo.sample import call

from treadle.integrations.seo.cluster import Cluster, Method, cluster_keywords, headed, topic
from treadle.integrations.seo.linkage import agglomerate, similarities


def clusters(keywords: list[str], **more: object) -> list[Cluster]:
    return call(cluster_keywords, keywords=keywords, **more).clusters


def serp(keyword: str, first: int) -> dict[str, object]:
    """Ten results numbered from `first`."""
    hits = [{"url": f"https://e.example/{n}"} for n in range(first, first + 10)]
    return {"keyword": keyword, "hits": hits}


def test_four_of_ten_results_with_the_head_make_a_cluster_and_three_do_not() -> None:
    serps = [serp("crm", 0), serp("customer database", 6), serp("erp", 7)]
    found = clusters(["crm", "customer database", "erp"], serps=serps)
    assert [c.keywords for c in found] == [["crm", "customer database"], ["erp"]]
    assert (found[0].method, found[0].cohesion) == (Method.SERP, 0.4)
    assert (found[1].method, found[1].cohesion) == (Method.SINGLE, None)


def test_without_results_wording_decides() -> None:
    found = clusters(["mcp server", "knowledge base", "mcp servers setup", "hiking boots"])
    assert [c.keywords for c in found] == [
        ["mcp server", "mcp servers setup"],
        ["knowledge base"],
        ["hiking boots"],
    ]
    assert found[0].method is Method.WORDING
    assert found[0].cohesion is not None
    assert found[0].cohesion > 0.42


def test_words_in_everybodys_mouth_join_nothing() -> None:
    found = clusters(["chunking strategies", "agent strategies"])
    assert len(found) == 2


def test_buyers_and_readers_words_stay_apart() -> None:
    intents = [
        {"keyword": "crm software", "intent": "commercial"},
        {"keyword": "what is crm software", "intent": "informational"},
    ]
    assert len(clusters(["crm software", "what is crm software"], intents=intents)) == 2


def test_the_head_is_the_shorter_keyword_that_others_narrow_down() -> None:
    assert headed(["enable sub-agents", "sub-agents"]) == ["sub-agents", "enable sub-agents"]
    assert headed(["sales pipeline", "pipeline stages"])[0] == "sales pipeline"


def test_a_question_heads_only_questions() -> None:
    asked = "are there hiking tours for families"
    assert headed([asked, "hiking tours for families"])[0] == "hiking tours for families"
    assert headed([asked, "how to book"])[0] == asked


def test_keywords_that_ask_for_one_topic_stay_together_and_two_topics_apart() -> None:
    asked = ["what is a {}", "how does a {} work", "{} guide", "how much does a {} cost"]
    machines = [form.format("espresso machine") for form in asked]
    pipelines = [form.format("sales pipeline") for form in asked]
    assert {topic(keyword) for keyword in machines} == {("espresso", "machine")}
    mixed = [keyword for pair in zip(machines, pipelines, strict=True) for keyword in pair]
    assert [c.keywords for c in clusters(mixed)] == [headed(machines), headed(pipelines)]


def test_a_keyword_without_results_joins_the_cluster_of_its_topic_and_is_marked() -> None:
    intents = [
        {"keyword": "crm", "intent": "informational"},
        {"keyword": "what is a crm", "intent": "informational"},
        {"keyword": "buy crm", "intent": "transactional"},
    ]
    keywords = ["crm", "what is a crm", "buy crm"]
    found = clusters(keywords, intents=intents, serps=[serp("crm", 0)])
    assert [c.keywords for c in found] == [["crm", "what is a crm"], ["buy crm"]]
    assert (found[0].worded, found[0].method, found[0].cohesion) == (
        ["what is a crm"],
        Method.WORDING,
        None,
    )


def test_equal_input_gives_equal_clusters() -> None:
    keywords = ["a b", "a b c", "x y", "x y z", "q"]
    assert clusters(keywords) == clusters(keywords)


@given(st.lists(st.text("abc ", min_size=1, max_size=8), min_size=1, max_size=12, unique=True))
def test_every_text_is_in_one_group_and_groups_hold_together(texts: list[str]) -> None:
    matrix = similarities(texts)
    groups = agglomerate(matrix, threshold=0.5)
    assert sorted(i for group in groups for i in group) == list(range(len(texts)))
    # Average linkage: no two groups left are as near as the threshold.
    for a in groups:
        for b in groups:
            if a is not b:
                assert fmean(matrix[i][j] for i in a for j in b) < 0.5 + 1e-9
