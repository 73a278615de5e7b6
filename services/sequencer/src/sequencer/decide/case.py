"""One decision while it is being made: the row as it is so far, the effects so far."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from leadflow import ids
from leadflow.records import LeadRecord
from leadflow.records.base import changed
from sequencer.model import Enrollment, Finished, LeadRow, Setting

SOURCE = "sequencer"


class Cause(NamedTuple):
    """Why something is decided, where no record says it. Named like the fields of a record."""

    event_id: str
    occurred_at: datetime
    recorded_at: datetime


class Case:
    """Gathers what follows; the functions of this package work on it one after the other."""

    __slots__ = ("effects", "now", "row", "setting")

    def __init__(self, row: LeadRow, setting: Setting, now: datetime) -> None:
        self.row = row
        self.setting = setting
        self.now = now
        self.effects: list[LeadRecord] = []

    def base(self, event_id: str, occurred_at: datetime) -> dict[str, Any]:
        """The fields that all our records about this lead share."""
        return {
            "event_id": event_id,
            "tenant_id": self.row.tenant_id,
            "occurred_at": occurred_at,
            "recorded_at": self.now,
            "source": SOURCE,
            "lead_id": self.row.lead_id,
            "owner": self.row.owner,
        }

    def tell(
        self,
        record_type: type[LeadRecord],
        identity: tuple[str | int, ...],
        occurred_at: datetime,
        **fields: Any,
    ) -> None:
        """Add an effect whose event id follows from its type and `identity`."""
        event_id = ids.derived_id(record_type.TYPE, *identity)
        self.effects.append(record_type(**self.base(event_id, occurred_at), **fields))

    def tell_of(
        self,
        record_type: type[LeadRecord],
        enrollment: Enrollment,
        identity: tuple[str | int, ...],
        occurred_at: datetime,
        **fields: Any,
    ) -> None:
        """Add an effect about an enrollment."""
        self.tell(
            record_type,
            (enrollment.enrollment_id, *identity),
            occurred_at,
            enrollment_id=enrollment.enrollment_id,
            sequence_id=enrollment.sequence_id,
            sequence_version=enrollment.version,
            **fields,
        )

    def change(self, enrollment: Enrollment) -> None:
        """Put the new state of a live enrollment in place of the old one."""
        live = tuple(
            enrollment if each.enrollment_id == enrollment.enrollment_id else each
            for each in self.row.live
        )
        self.row = changed(self.row, live=live)

    def begin(self, enrollment: Enrollment) -> None:
        self.row = changed(self.row, live=(*self.row.live, enrollment))

    def end(self, enrollment: Enrollment, outcome: str) -> None:
        """Shrink a live enrollment to its line among the finished ones."""
        line = Finished(
            sequence_id=enrollment.sequence_id,
            entries=enrollment.entry,
            ended_at=self.now,
            outcome=outcome,
            version=enrollment.version,
            cause=enrollment.cause,
        )
        self.row = changed(
            self.row,
            live=tuple(
                each for each in self.row.live if each.enrollment_id != enrollment.enrollment_id
            ),
            finished=(
                *(each for each in self.row.finished if each.sequence_id != line.sequence_id),
                line,
            ),
        )


def inputs(values: Mapping[str, object]) -> dict[str, str]:
    """What a rule looked at, as an event carries it."""
    return {name: str(value) for name, value in values.items()}
