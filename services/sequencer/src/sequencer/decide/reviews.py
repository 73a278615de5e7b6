"""What becomes of a lead because time passes and nothing is said: dormancy, and being forgotten.

A lead without a live enrollment has one more timer, `review_at`: the earliest time at which any
of this can be. It may be too early, then it is set anew; a week is the longest, while the lead can
become dormant, for sequences are published between. One with a live enrollment has none: it is
set when the last one ends.
"""

from __future__ import annotations

from datetime import timedelta

from leadflow.records.base import changed
from sequencer.decide import calendar, dormancy, retention
from sequencer.decide.case import Case
from sequencer.model import LeadRow

WEEK = timedelta(days=7)
DAY_MINUTES = 1440


def look(case: Case, before: LeadRow) -> bool:
    """Review the lead if it is time, else see to it that it will be. True if it is forgotten."""
    row = case.row
    if row.live:
        if row.review_at is not None:
            case.row = changed(row, review_at=None)
        return False
    at = row.review_at
    if at is None or at > case.now:
        if (at is None and row is not before) or _may_be_sooner(row, before):
            _arm(case)
        return False
    case.row = changed(row, review_at=None)
    dormancy.enroll(case, at)
    if case.row.live:
        return False
    retention.shrink(case)
    if retention.is_idle(case):
        return True
    _arm(case)
    return False


def _may_be_sooner(row: LeadRow, before: LeadRow) -> bool:
    """Whether something happened that can bring the next review forward."""
    return row.responded_at is not before.responded_at or row.status != before.status


def _arm(case: Case) -> None:
    """Set the next review, unless an earlier one is set already."""
    row = case.row
    if row.touched_at is None or (row.created and row.responded_at is None):
        # A row of an older program does not say: its time begins now.
        row = case.row = changed(
            row, touched_at=row.touched_at or case.now, responded_at=row.responded_at or case.now
        )
    times = []
    if (at := dormancy.next_at(case)) is not None:
        weekly = case.now + WEEK + calendar.spread(DAY_MINUTES, row.lead_id)
        times.append(min(max(at, case.now), weekly))
    if (at := retention.next_at(case)) is not None:
        times.append(max(at, case.now))
    if times and (row.review_at is None or min(times) < row.review_at):
        case.row = changed(row, review_at=min(times))
