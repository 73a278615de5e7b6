"""Which providers refuse us whatever we send, as this process has heard it last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from dispatcher.decide import UNAUTHORIZED
from dispatcher.model import Accepted, Answer

# While a provider refuses us, one message at a time finds out whether it still does.
PROBE_EVERY = timedelta(seconds=30)
# Once it takes messages again, those that waited go on, within the limits that hold for all.
RELEASE_EVERY = timedelta(milliseconds=1)


class Credentials:
    """Told every answer."""

    def __init__(self) -> None:
        self._works: dict[str, bool] = {}

    def heard(self, provider: str, answers: Sequence[Answer]) -> None:
        for answer in answers:
            if isinstance(answer, Accepted):
                self._works[provider] = True
            elif answer.error_class == UNAUTHORIZED:
                self._works[provider] = False

    def release_every(self, provider: str) -> timedelta:
        """The time between two messages that are let go, of those that it refused with us."""
        return RELEASE_EVERY if self._works.get(provider) else PROBE_EVERY
