"""Which providers take nothing from us, as this process has heard it last.

One message that is refused with us may be to blame (a sender that may not send there), or we may
be. A few such refusals in a row, with no yes between them, are about us: the route is held, and
one message at a time finds out whether it still is refused. A message that is refused again and
again while its route takes others is to blame (`dispatcher.decide.after_answer`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import timedelta

from dispatcher.decide import QUOTA_EXCEEDED, UNAUTHORIZED
from dispatcher.model import Accepted, Answer, Refused
from leadflow.clock import Clock

# So many refusals in a row hold a route.
FLOOR = 3
FIRST_REST_SECONDS = 5.0
LONGEST_REST_SECONDS = 300.0
# A probe of which nothing was heard is repeated.
PROBE_SECONDS = 30.0
# While a provider refuses us, of those that it refused one at a time may be the next to ask.
PROBE_EVERY = timedelta(seconds=30)
# Once it takes messages again, those that waited go on, within the limits that hold for all.
RELEASE_EVERY = timedelta(milliseconds=1)


@dataclass(slots=True)
class _Heard:
    """`refused`: answers in a row that refused us; `next_at`: when the route may be tried again."""

    accepted_at: float | None = None
    refused: int = 0
    rests: int = 0
    next_at: float = 0.0
    held: bool = False
    probing: bool = False


class Credentials:
    """Told every answer. `routes` names the providers that are in use; where nothing is named,
    every one is."""

    def __init__(self, clock: Clock, routes: Collection[str] = ()) -> None:
        self._clock = clock
        self._routes = frozenset(routes)
        self._heard: dict[str, _Heard] = {}

    def heard(self, provider: str, answers: Sequence[Answer]) -> str | None:
        """Take in the answers of a call. Returns the reason if they hold the route, or were those
        of a probe that is refused still: it takes nothing from us, whoever asks."""
        now = self._clock.monotonic()
        if any(isinstance(answer, Accepted) for answer in answers):
            self._heard[provider] = _Heard(accepted_at=now)
            return None
        route = self._heard.setdefault(provider, _Heard())
        no = [answer for answer in answers if isinstance(answer, Refused)]
        reasons = [answer.reason for answer in no if answer.error_class == UNAUTHORIZED]
        route.refused += len(reasons)
        quotas = [answer.wait_seconds for answer in no if answer.error_class == QUOTA_EXCEEDED]
        if quotas:
            asked = min(LONGEST_REST_SECONDS, quotas[0] or FIRST_REST_SECONDS)
            route.held, route.probing, route.next_at = True, False, now + asked
            return None
        if route.refused >= FLOOR and not route.held:
            route.held, route.next_at = True, now + FIRST_REST_SECONDS
        elif route.probing:
            route.probing = False
            route.rests += 1
            rest = min(LONGEST_REST_SECONDS, FIRST_REST_SECONDS * 2.0 ** min(route.rests, 32))
            route.next_at = now + rest
        else:
            return None
        return reasons[-1] if reasons else None

    def allowance(self, provider: str, wanted: int) -> int:
        """How many messages it may be given now: all, none while it is held, or one to see."""
        route = self._heard.get(provider)
        if route is None or not route.held:
            return wanted
        now = self._clock.monotonic()
        if now < route.next_at or not wanted:
            return 0
        route.probing, route.next_at = True, now + PROBE_SECONDS
        return 1

    def unused(self, provider: str, allowed: int) -> None:
        """Of an allowance nothing was given to it: that was no probe. One that was answered is
        none any more, and nothing changes."""
        route = self._heard.get(provider)
        if route is not None and route.probing and allowed == 1:
            route.probing, route.next_at = False, self._clock.monotonic()

    def took_others(self, provider: str, seconds: float) -> bool:
        """Whether it has accepted something within so many seconds, and is not held."""
        route = self._heard.get(provider)
        return (
            route is not None
            and route.accepted_at is not None
            and route.refused < FLOOR
            and self._clock.monotonic() - route.accepted_at <= seconds
        )

    def release_every(self, provider: str) -> timedelta:
        """The time between two messages that are let go, of those that it refused with us. What
        waits for a provider that is not in use any more goes on over the one that is."""
        if self._routes and provider not in self._routes:
            return RELEASE_EVERY
        route = self._heard.get(provider)
        works = route is not None and route.accepted_at is not None and route.refused < FLOOR
        return RELEASE_EVERY if works else PROBE_EVERY
