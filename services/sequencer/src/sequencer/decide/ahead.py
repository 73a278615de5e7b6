"""Stops by hand of enrollments that the row does not know.

Effects come before the row (design.md, "Guarantees"): a worker that is killed between them has
told of an enrollment that no row knows. What an event began is made again before the answers to it
are read (`causes.py`). What time began (`dormancy.py`) is in no topic: it is made again when the
lead is next looked at, with the same id, and that may be after a stop was read that somebody had
asked for meanwhile, or long after, when another sequence is over.

So the stop is kept until that enrollment begins, which then ends at once, with the stop as its
reason: its entry is over, and its id is never used again. Few are kept, the latest, and no longer
than the line of a finished enrollment (`retention.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

from leadflow.records import EnrollmentStopRequested
from leadflow.records.base import changed
from sequencer.decide import stops
from sequencer.decide.case import Case, Cause
from sequencer.model import Enrollment, StopAhead

KEPT = 8
"""How many stops a row keeps. A person sees no more enrollments of a lead at once."""
ID_LENGTH = 36


def keep(case: Case, event: EnrollmentStopRequested) -> Mapping[str, object]:
    """Remember the stop of an enrollment that has not begun; what is to be told of it."""
    if len(event.enrollment_id) != ID_LENGTH:
        return {}  # none of ours
    stop = StopAhead(
        enrollment_id=event.enrollment_id,
        event_id=event.event_id,
        requested_by=event.requested_by,
        at=event.occurred_at,
    )
    others = tuple(each for each in case.row.ahead if each.enrollment_id != event.enrollment_id)
    case.row = changed(case.row, ahead=(*others, stop)[-KEPT:])
    return {"if_it_begins": "stopped"}


def ends(case: Case, enrollment: Enrollment) -> bool:
    """End an enrollment that has just begun if its stop was there before it."""
    stop = next((e for e in case.row.ahead if e.enrollment_id == enrollment.enrollment_id), None)
    if stop is None:
        return False
    case.row = changed(case.row, ahead=tuple(e for e in case.row.ahead if e is not stop))
    cause = Cause(stop.event_id, occurred_at=stop.at, recorded_at=stop.at)
    stops.end(case, cause, enrollment, "manual", {"requested_by": stop.requested_by})
    return True
