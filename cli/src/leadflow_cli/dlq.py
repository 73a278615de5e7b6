"""Dead letters as the commands show them: by cause, with how each stands. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from leadflow.codec import Codec
from leadflow.kafka.port import Message
from leadflow.kafka.replay import Letter, letter_of, record_of, replayable
from leadflow.kafka.reviews import OPEN, REPLAYED, Filter, wanted
from leadflow.records import DeadLetterReviewed


@dataclass(frozen=True, slots=True)
class Dead:
    """A dead letter: `state` is open, or what was done about it last; `was` is the type of the
    record, empty where nobody can read it."""

    letter: Letter
    state: str
    tenant_id: str
    event_id: str
    was: str

    @property
    def letter_id(self) -> str:
        return self.letter.letter_id


@dataclass(frozen=True, slots=True)
class Group:
    """Dead letters of one service with one cause, the oldest first."""

    service: str
    cause: str
    letters: tuple[Dead, ...]

    @property
    def states(self) -> Counter[str]:
        return Counter(each.state for each in self.letters)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a replay or a discard takes, and how many letters it passes over, by why."""

    taken: tuple[Dead, ...]
    passed: Mapping[str, int]


def dead_letters(
    codec: Codec, messages: Iterable[Message], reviews: Mapping[str, DeadLetterReviewed]
) -> list[Dead]:
    """The letters in the order in which they were put away; `reviews` are the last on each."""
    found = []
    for message in sorted(messages, key=lambda each: (each.timestamp_ms, *each.place, each.offset)):
        letter = letter_of(message)
        was = record_of(codec, letter)
        review = reviews.get(letter.letter_id)
        found.append(
            Dead(
                letter=letter,
                state=OPEN if review is None else review.action,
                tenant_id="" if was is None else was.tenant_id,
                event_id=letter.first_place if was is None else was.event_id,
                was="" if was is None else was.TYPE,
            )
        )
    return found


def fitting(letters: Iterable[Dead], chosen: Filter) -> list[Dead]:
    return [each for each in letters if chosen.fits(each.letter, each.tenant_id)]


def grouped(letters: Iterable[Dead]) -> list[Group]:
    """By service and cause, the group with the most open letters first."""
    groups: dict[tuple[str, str], list[Dead]] = {}
    for each in letters:
        groups.setdefault((each.letter.service, each.letter.cause), []).append(each)
    found = [Group(service, cause, tuple(each)) for (service, cause), each in groups.items()]
    return sorted(found, key=lambda group: (-group.states[OPEN], group.service, group.cause))


def plan(letters: Iterable[Dead], action: str, *, again: bool) -> Plan:
    """Of letters that fit, those that are taken: open ones, with `again` the others too, and to
    replay only what has a way back."""
    taken, passed = [], Counter[str]()
    for each in letters:
        if not wanted(action, each.state, again=again):
            passed[f"{each.state} before"] += 1
        elif action == REPLAYED and (why := replayable(each.letter)) is not None:
            passed[why] += 1
        else:
            taken.append(each)
    return Plan(tuple(taken), passed)


def age(at: datetime, now: datetime) -> str:
    """How long ago, in the largest unit that fits: 40 s, 12 min, 5 h, 3 d."""
    passed = max(now - at, timedelta(0))
    for unit, size in (("d", timedelta(days=1)), ("h", timedelta(hours=1))):
        if passed >= size:
            return f"{passed // size} {unit}"
    minutes = passed // timedelta(minutes=1)
    return f"{minutes} min" if minutes else f"{int(passed.total_seconds())} s"
