"""What is forgotten, and when; the lead's history stays in the topics.

After the tenant's retention time a finished enrollment's line goes, unless a rule still needs it:
`never` enter again needs it for good, `after_days` until then; a bounce or a complaint is a refusal
and stays. The stop of an enrollment that never began (`ahead.py`) goes after that time as well. A
row without live enrollments, lines and refusals, that no event has concerned for as long, goes as a
whole. Whoever comes back then comes with a LeadUpdated: intake sends one ahead of
whatever it says of a lead that was long silent (`intake/returning.py`).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from leadflow.records import LeadUpdated
from leadflow.records.base import changed
from sequencer.decide import dormancy
from sequencer.decide.case import Case
from sequencer.model import Finished


def next_at(case: Case) -> datetime | None:
    """When something can be forgotten; None if nothing ever by itself."""
    row = case.row
    if not _days(case) or row.touched_at is None:
        return None
    times = [each.at + _time(case) for each in row.ahead]
    times += [at for each in row.finished if (at := _until(case, each))]
    if row.finished or any(not each.granted for each in row.consent):
        return min(times, default=None)
    return row.touched_at + _time(case)


def shrink(case: Case) -> None:
    """Forget the lines that no rule needs any more, and stops of what never began."""
    row = case.row
    if _days(case) and any(each.at + _time(case) <= case.now for each in row.ahead):
        ahead = tuple(each for each in row.ahead if each.at + _time(case) > case.now)
        row = case.row = changed(row, ahead=ahead)
    old = [each for each in row.finished if (at := _until(case, each)) and at <= case.now]
    if old:
        case.row = changed(
            row,
            finished=tuple(each for each in row.finished if each not in old),
            entries_before=max(row.entries_before, *(each.entries for each in old)),
        )


def is_idle(case: Case) -> bool:
    """Whether the whole row can be forgotten."""
    at = next_at(case)
    return not case.row.live and not case.row.finished and at is not None and at <= case.now


def was_here(case: Case, event: LeadUpdated) -> bool:
    """Whether a lead without a row is one that was forgotten. If not, this has overtaken its
    LeadCreated: another worker of intake may publish that later, and how much later nobody knows;
    but nobody is forgotten before the retention time, so half of it tells them apart."""
    known = event.known_since
    return known is not None and event.recorded_at - known >= _time(case) / 2 > timedelta(0)


def _until(case: Case, line: Finished) -> datetime | None:
    """How long a line is needed; None: for good."""
    definitions = case.setting.sequences
    sequence = definitions.active(line.sequence_id) or definitions.get(
        line.sequence_id, line.version
    )
    if (
        sequence is None  # it may come back, with whatever rule
        or sequence.reentry_rule == "never"
        or line.outcome in dormancy.NO_ANSWER_WANTED
        or not _days(case)
    ):
        return None
    days = sequence.reentry_days if sequence.reentry_rule == "after_days" else 0
    return line.ended_at + max(_time(case), timedelta(days=days))


def _days(case: Case) -> int:
    return case.setting.tenant(case.row.tenant_id).retention_days


def _time(case: Case) -> timedelta:
    return timedelta(days=_days(case))
