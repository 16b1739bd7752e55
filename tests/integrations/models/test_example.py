"""The example beside the recipes is one that the loader takes."""

from pathlib import Path

from treadle.integrations.models.endpoints import load_endpoints

EXAMPLE = Path(__file__).parents[3] / "deploy" / "models" / "models.yaml"


def test_two_aliases_have_prices_and_what_is_asked_when_they_fail() -> None:
    table = load_endpoints(EXAMPLE)
    assert [alias for alias, _ in table.chain("chat")] == ["chat", "spare"]
    assert [alias for alias, _ in table.chain("coder")] == ["coder", "chat", "spare"]
    assert all(endpoint.price is not None for endpoint in table.endpoints.values())
    assert table.resolve("deepseek-v3")[0] == "chat"
