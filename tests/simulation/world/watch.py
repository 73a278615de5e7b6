"""What the simulation sees of the sequencer's decisions."""

from __future__ import annotations

from datetime import datetime
from typing import NamedTuple

from leadflow import ids
from leadflow.kafka.port import Message
from leadflow.records import Enrolled, LeadRecord, MessageQueued
from sequencer.model import Decision, Enrollment, LeadRow

from .sequences import REACTIVATE


class Decided(NamedTuple):
    """When and about what a decision was made: a record, or a timer. `serial` is the number of
    the last effect before it."""

    cause: Message | None
    record: LeadRecord | None
    at: datetime
    paused: frozenset[str]
    published: frozenset[str]
    serial: int
    woken: datetime | None = None  # the lead was found silent, and enrolled from then on


class Applied(NamedTuple):
    """A decision whose row became durable, as effect number `serial`."""

    key: bytes
    partition: int
    decided: Decided
    serial: int
    gone: bool


class Queued(NamedTuple):
    """A record in `messages` and the decision that it is of."""

    record: MessageQueued
    decided: Decided
    serial: int


class Watch:
    """What the simulation sees of the decisions, over all lives of the sequencer; and what is
    paused and published at the moment."""

    def __init__(self) -> None:
        self.paused: frozenset[str] = frozenset()
        self.published: frozenset[str] = frozenset()
        self.applied: list[Applied] = []
        self.queued: list[Queued] = []
        self.again: list[Queued] = []  # decided once more, but in `messages` already
        self.enrollments: dict[str, str] = {}  # of messages
        self.too_soon: list[str] = []  # answers that were handled before what they answer


def known(row: LeadRow | None) -> set[str]:
    """The enrollments that a row tells of."""
    if row is None:
        return set()
    over = {
        ids.enrollment_id(row.lead_id, line.sequence_id, entry)
        for line in row.finished
        for entry in range(1, line.entries + 1)
    }
    return over | {each.enrollment_id for each in row.live}


def woken(decision: Decision) -> datetime | None:
    """From when a lead is enrolled for its silence, if it is."""
    for effect in decision.effects:
        if isinstance(effect, Enrolled) and effect.sequence_id == REACTIVATE:
            of_it = (*decision.row.live, *decision.effects)
            known = [
                each.enrolled_at
                for each in of_it
                if isinstance(each, (Enrollment, MessageQueued))
                and each.sequence_id == REACTIVATE
                and each.enrolled_at is not None
            ]
            return (known or [effect.occurred_at])[0]
    return None
