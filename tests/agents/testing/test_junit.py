"""Reports as JUnit XML."""

from xml.etree import ElementTree

from treadle.agents.testing import Problem, Report, Verdict, junit_xml


def test_each_template_is_a_suite_and_each_test_a_case() -> None:
    failed = Verdict("bad \x00 one", 0.5, 3, [Problem("a == 1", ["a is 2 <&>"])])
    report = Report("probe", "1.0.0", [Verdict("good", 0.25, 1), failed])
    root = ElementTree.fromstring(junit_xml([report]))  # noqa: S314  our own
    (suite,) = root
    assert suite.attrib == {
        "name": "probe", "tests": "2", "failures": "1", "errors": "0", "skipped": "0",
        "time": "0.750",
    }  # fmt: skip
    good, bad = suite
    assert len(good) == 0
    assert bad.attrib["name"] == "bad \N{REPLACEMENT CHARACTER} one"
    assert bad[0].attrib["message"] == "a == 1"
    assert bad[0].text == "a == 1\n  a is 2 <&>"
