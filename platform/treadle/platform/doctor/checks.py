"""All questions, in the order in which a person would ask them."""

from collections.abc import Callable, Iterator

from treadle.platform.doctor.finding import Finding
from treadle.platform.doctor.machine import (
    check_admin_key,
    check_compiler,
    check_home,
    check_port,
    check_python,
    check_wheels,
)
from treadle.platform.doctor.services import check_broker, check_database, check_model
from treadle.platform.settings import Settings

CHECKS: tuple[Callable[[Settings], Finding], ...] = (
    check_python,
    check_wheels,
    check_home,
    check_admin_key,
    check_port,
    check_database,
    check_broker,
    check_model,
    check_compiler,
)


def examine(settings: Settings) -> Iterator[Finding]:
    """Ask every question; each answers for itself, whatever the others found."""
    for check in CHECKS:
        yield check(settings)
