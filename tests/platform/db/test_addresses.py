"""What of a database's address reaches the driver."""

import psycopg
import pytest

from treadle.platform.db.database import driver_url


@pytest.mark.parametrize("scheme", ["postgres", "postgresql"])
def test_a_dead_host_is_given_up(scheme: str) -> None:
    url = driver_url(f"{scheme}://treadle@db:5433/treadle")
    assert url.drivername == "postgresql+psycopg"
    assert url.query["tcp_user_timeout"] == "20000"
    assert url.query["keepalives_idle"] == "10"


def test_an_address_may_say_otherwise() -> None:
    url = driver_url("postgresql://db/treadle?tcp_user_timeout=5000&sslmode=require")
    assert url.query["tcp_user_timeout"] == "5000"
    assert url.query["sslmode"] == "require"


@pytest.mark.slow
def test_the_driver_takes_all_of_it(database_url: str) -> None:
    url = driver_url(database_url).set(drivername="postgresql").render_as_string(False)
    with psycopg.connect(url) as connection:
        known = connection.info.get_parameters()
    assert known["tcp_user_timeout"] == "20000"
    assert known["keepalives_count"] == "3"
