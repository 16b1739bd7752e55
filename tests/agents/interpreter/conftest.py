import pytest
from tests.agents.interpreter.doubles import World
from tests.agents.interpreter.stage import Stage


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def stage(world: World) -> Stage:
    return Stage(world=world)
