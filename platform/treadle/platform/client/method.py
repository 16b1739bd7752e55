"""Makes a client's method of a call: same arguments, and the answer in place of the call."""

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import Concatenate, ParamSpec, Protocol, TypeVar

from treadle.platform.client.call import Call

P = ParamSpec("P")
T = TypeVar("T")


class Sends(Protocol):
    """Carries a call and brings the answer."""

    def send(self, call: Call[T]) -> T:
        """Send a call."""
        ...


class SendsAsync(Protocol):
    """Carries a call and brings the answer, later."""

    def send(self, call: Call[T]) -> Awaitable[T]:
        """Send a call."""
        ...


def sends(build: Callable[P, Call[T]]) -> Callable[Concatenate[Sends, P], T]:
    """Make a blocking method."""

    @wraps(build)
    def method(client: Sends, /, *args: P.args, **kwargs: P.kwargs) -> T:
        return client.send(build(*args, **kwargs))

    return method


def sends_async(
    build: Callable[P, Call[T]],
) -> Callable[Concatenate[SendsAsync, P], Awaitable[T]]:
    """Make an awaitable method."""

    @wraps(build)
    def method(client: SendsAsync, /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return client.send(build(*args, **kwargs))

    return method
