"""When a provider is given a rest, and how it comes back. Pure; times are seconds of one clock.

    closed     to open, when too large a share of its answers were failures, with a floor, or when
               it takes nothing from us
    open       to half open, when the rest is over
    half open  to closed, when enough went well; to open at a failure, for a longer rest

While it is open nothing is claimed for the provider: messages wait in the ledger, in their order,
and no attempt of theirs is spent. Half open, one message goes; when it is accepted two, then four:
what has piled up does not fall on a provider that has just come back.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import NamedTuple

from dispatcher.model import Accepted, Answer, Refused


class State(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Opens when of the calls within a window a share of `share` or more were failures, if there
    were `few` of them or more, with at least `at_least` messages: one lost batch says little, and
    so do few messages. The first rest is `rest_seconds`, each that follows twice as long. Closes
    when `enough` were accepted half open; a probe of which nothing is heard is repeated after
    `probe_seconds`."""

    window_seconds: float = 60.0
    at_least: int = 20
    few: int = 5
    share: float = 0.5
    rest_seconds: float = 30.0
    longest_rest_seconds: float = 600.0
    probe_seconds: float = 30.0
    enough: int = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """One provider's. `messages` were in the `good` and `bad` calls. `since` is when the window or
    the rest began, `look_at` when it ends; half open, when a probe is given up. `opened`: times in
    a row. Half open, `allowance` grows with what was accepted and `left_over` of it may go now."""

    state: State = State.CLOSED
    good: int = 0
    bad: int = 0
    messages: int = 0
    since: float = 0.0
    look_at: float = 0.0
    opened: int = 0
    allowance: int = 0
    left_over: int = 0


class Heard(NamedTuple):
    """What calls say of a provider: the good ones and the bad ones, how many of their messages were
    answered well, and how many there were."""

    good: int = 0
    bad: int = 0
    well: int = 0
    messages: int = 0

    def and_of(self, more: Heard) -> Heard:
        return Heard(*map(sum, zip(self, more, strict=True)))


def counted(answers: Collection[Answer]) -> Heard:
    """What one call says of the provider.

    A call counts once, however many messages are in it: one lost batch is one failure. It is bad
    where half of its answers or more are. A message that is refused for good is answered well;
    what the provider cannot take now and what it leaves unanswered is not. A credential that it
    does not know, a quota that is used up and a call that was not made say nothing of it: whether
    it takes anything from us is told apart (`dispatcher.credentials`, `trip`).
    """
    answers = [each for each in answers if not _says_nothing(each)]
    well = sum(
        isinstance(answer, Accepted) or not (answer.retryable or answer.maybe_accepted)
        for answer in answers
    )
    if not answers:
        return Heard()
    good = 2 * well > len(answers)
    return Heard(good=int(good), bad=int(not good), well=well, messages=len(answers))


def _says_nothing(answer: Answer) -> bool:
    return isinstance(answer, Refused) and (answer.patient or answer.error_class == "Unauthorized")


def plausible(breaker: Breaker, now: float, rules: Rules) -> Breaker:
    """What began later than now, or ends later than any rule says, was written while the clock was
    ahead: it would rest, and hear no person's word, for as long as that was."""
    longest = max(rules.window_seconds, rules.longest_rest_seconds, rules.probe_seconds)
    return replace(
        breaker, since=min(breaker.since, now), look_at=min(breaker.look_at, now + longest)
    )


def take(breaker: Breaker, wanted: int, now: float, rules: Rules) -> tuple[Breaker, int]:
    """How many of `wanted` messages may be claimed."""
    if breaker.state is State.CLOSED:
        return breaker, wanted
    if breaker.state is State.OPEN:
        if now < breaker.look_at:
            return breaker, 0
        breaker = replace(breaker, state=State.HALF_OPEN, allowance=1, left_over=1, look_at=now)
    left = breaker.left_over
    if not left and now >= breaker.look_at:
        left = breaker.allowance  # whoever had them is gone
    given = min(wanted, left)
    if not given:
        return breaker, 0
    return replace(breaker, left_over=left - given, look_at=now + rules.probe_seconds), given


def give_back(breaker: Breaker, unused: int) -> Breaker:
    """There was nothing to send, or it was not sent: that was no probe."""
    if breaker.state is not State.HALF_OPEN or unused <= 0:
        return breaker
    return replace(breaker, left_over=min(breaker.allowance, breaker.left_over + unused))


def observe(breaker: Breaker, heard: Heard, now: float, rules: Rules) -> Breaker:
    """What so many calls make of it; those of before it opened say nothing new."""
    if breaker.state is State.OPEN:
        return breaker
    if breaker.state is State.HALF_OPEN:
        if heard.bad:
            return _open(breaker, now, rules)
        allowance = breaker.allowance + heard.well
        if allowance >= rules.enough:
            return closed(now, rules)
        return replace(
            breaker,
            allowance=allowance,
            left_over=min(allowance, breaker.left_over + 2 * heard.well),
        )
    if now >= breaker.look_at:
        breaker = closed(now, rules)
    breaker = replace(
        breaker,
        good=breaker.good + heard.good,
        bad=breaker.bad + heard.bad,
        messages=breaker.messages + heard.messages,
    )
    calls = breaker.good + breaker.bad
    # Who asks for fewer messages than that asks for fewer calls, too.
    sample = breaker.messages >= rules.at_least and calls >= min(rules.few, rules.at_least)
    return _open(breaker, now, rules) if sample and breaker.bad >= rules.share * calls else breaker


def trip(breaker: Breaker, now: float, rules: Rules) -> Breaker:
    """It takes nothing from us: opened at once, or again where this was its probe."""
    return breaker if breaker.state is State.OPEN else _open(breaker, now, rules)


def closed(now: float, rules: Rules) -> Breaker:
    """As it is at first, and after a person's word."""
    return Breaker(since=now, look_at=now + rules.window_seconds)


def _open(breaker: Breaker, now: float, rules: Rules) -> Breaker:
    rest = min(rules.longest_rest_seconds, rules.rest_seconds * 2.0 ** min(breaker.opened, 32))
    return replace(
        breaker,
        state=State.OPEN,
        since=now,
        look_at=now + rest,
        opened=breaker.opened + 1,
        allowance=0,
        left_over=0,
    )
