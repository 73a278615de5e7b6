"""Leads that do not answer.

A lead is dormant for N days when N days have passed since it last did something itself: came in,
replied, booked, called, asked for a quote, gave or took back a consent, followed a link. What a
machine does on its behalf (automatic answers, opens, clicks by scanners) does not count, nor does
what we do (messages, a stage, an update from an import). Its silence also begins anew when
somebody takes it out of a sequence by hand, or takes it back from `lost` or `dormant`.

Each active sequence with the trigger `dormant` decides once for each such silence, when the lead
is in no sequence: reactivation does not talk over another cadence, it waits for its end. A lead
that is won or lost is not dormant (a lost one said no: "Lost — explicit no", seed 004), nor one
that complained or whose address bounced; one that opted out is refused as by any trigger.

That is derived from the row. The stage `dormant` is a person's word or an upstream system's: a
stage is changed by an event, never by a side effect (product.md, "Stages").
"""

from __future__ import annotations

from datetime import datetime, timedelta

from leadflow import ids
from leadflow.records import LeadRecord, SequencePublished
from leadflow.records.base import changed
from sequencer.decide import triggers
from sequencer.decide.case import Case, Cause
from sequencer.model import Finished, LeadRow

TRIGGER = "dormant"
CLOSED = frozenset({"won", "lost", "assigned"})
"""Stages of the two preset pipelines that are no longer followed up."""
NO_ANSWER_WANTED = frozenset({"bounce", "complaint"})
OF_NO_SEQUENCE = ""


def responded(case: Case, event: LeadRecord) -> bool:
    """The lead did something: its silence is over, and it is not away. False for one that is not
    known yet."""
    if not case.row.created:
        return False
    if case.row.away_until is not None:
        case.row = changed(case.row, away_until=None)
    begin_anew(case, min(event.recorded_at, case.now))
    return True


def wants_no_answer(case: Case, event: LeadRecord, rule: str) -> None:
    """The lead complained, or its address bounced: that outlives the enrollments that it ended, and
    counts where it ended none. It is a line of its own, of no sequence."""
    said = Finished(
        sequence_id=OF_NO_SEQUENCE,
        entries=0,
        ended_at=min(event.recorded_at, case.now),
        outcome=rule,
    )
    others = (each for each in case.row.finished if each.sequence_id != OF_NO_SEQUENCE)
    case.row = changed(case.row, finished=(*others, said))


def begin_anew(case: Case, at: datetime) -> None:
    """The silence counts from `at`, unless from later already."""
    row = case.row
    if row.responded_at is None or at > row.responded_at:
        case.row = changed(row, responded_at=at, dormant_in=())


def since(row: LeadRow) -> datetime | None:
    """From when the lead's silence counts; None if it is not one that can become dormant."""
    at = row.responded_at
    if at is None or not row.created or row.status != "active" or row.stage in CLOSED:
        return None
    if any(each.outcome in NO_ANSWER_WANTED and each.ended_at >= at for each in row.finished):
        return None
    return max([at, *(each.ended_at for each in row.finished if each.outcome == "manual")])


def next_at(case: Case) -> datetime | None:
    """When the lead is dormant for the next sequence; the end of time if for none that there is
    now, None if it cannot become dormant."""
    silent = since(case.row)
    if silent is None or _is_forgotten(case, silent):
        return None
    days = (days for _, days in _undecided(case))
    return silent + timedelta(days=min(days, default=LONGEST))


def enroll(case: Case, due_at: datetime) -> None:
    """Enroll the lead in the first sequence that it is dormant for, or say why not. What more
    there is waits until it is over.

    Enrolled from `due_at`, when that was to be looked at, and not from when the lead was dormant:
    where it had to wait, the steps would be long overdue and come all at once.
    """
    silent = since(case.row)
    if silent is None or _is_forgotten(case, silent):
        return
    for sequence, days in _undecided(case):
        at = silent + timedelta(days=days)
        if at > case.now:
            continue
        case.row = changed(case.row, dormant_in=(*case.row.dormant_in, sequence.sequence_id))
        cause = Cause(
            _silence_id(case.row, sequence.sequence_id, at),
            occurred_at=at,
            recorded_at=max(at, due_at),
        )
        triggers.enroll(case, cause, sequence, by="trigger")
        if case.row.live or since(case.row) != silent:  # or it was stopped: it counts from now
            return


def _silence_id(row: LeadRow, sequence_id: str, at: datetime) -> str:
    """Names a silence of `row` that makes it dormant at `at`. Not by that alone: one that somebody
    began by hand, and one that the lead itself began by an answer of that instant, are two."""
    spoke = "" if row.responded_at is None else row.responded_at.isoformat()
    return ids.derived_id("Dormant", row.lead_id, sequence_id, at.isoformat(), spoke)


LONGEST = 36_500


def _undecided(case: Case) -> list[tuple[SequencePublished, int]]:
    """Sequences that wait for this lead's silence, and their days."""
    row = case.row
    found = []
    for each in case.setting.sequences.triggered(row.tenant_id, TRIGGER, ""):
        days = each.trigger.value
        if (
            each.sequence_id not in row.dormant_in
            and triggers.takes(each, row.source)
            and days.isdecimal()
            and 0 < int(days) < LONGEST
        ):
            found.append((each, int(days)))
    return found


def _is_forgotten(case: Case, silent: datetime) -> bool:
    """Whether nobody waits for an answer any more."""
    days = case.setting.tenant(case.row.tenant_id).retention_days
    return bool(days) and case.now >= silent + timedelta(days=days)
