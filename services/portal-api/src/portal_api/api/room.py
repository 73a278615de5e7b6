"""Memory for what strangers send: bounded by bytes, for whoever sends slowly holds few of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus

from portal_api.problems import Problem


class Room:
    """So many bytes of bodies at once of which nobody knows yet who sends them."""

    def __init__(self, size: int) -> None:
        self.left = size

    @contextmanager
    def one(self) -> Iterator[Callable[[int], None]]:
        """For one body: what is called with the length of each of its pieces, before it is kept.
        Raises Problem 503 where there is no room for it."""
        taken = 0

        def take(count: int) -> None:
            nonlocal taken
            if count > self.left:
                raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "Too much at once: come again.")
            self.left -= count
            taken += count

        try:
            yield take
        finally:
            self.left += taken
