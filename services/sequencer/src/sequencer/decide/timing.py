"""When a step may go out: its delay, the send window, quiet hours, holidays, the cap."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache

from leadflow.records import SequencePublished
from leadflow.records.base import changed
from leadflow.records.common import SendWindow, SequenceStep
from leadflow.tenants import Tenant
from sequencer.decide import calendar, stops
from sequencer.decide.case import Case
from sequencer.decide.recipients import FOR_PEOPLE
from sequencer.model import Enrollment

TO_THE_LEAD = frozenset({"email", "sms", "whatsapp"})
DISTURBING = TO_THE_LEAD | FOR_PEOPLE
OUT_OF_OFFICE = "out_of_office"
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Slot:
    """A time, and the rule that moved it there; no rule if the delay alone put it there."""

    at: datetime
    rule: str = ""
    inputs: dict[str, object] = field(default_factory=dict)


def zone_of(case: Case) -> str:
    """Where the lead is; if that is unknown where its tenant is."""
    return case.row.profile.timezone or case.setting.tenant(case.row.tenant_id).timezone or "UTC"


def due(
    case: Case,
    enrollment: Enrollment,
    sequence: SequencePublished,
    step: SequenceStep,
    after: datetime,
    earliest: datetime,
) -> Slot:
    """When a step is due, not before `earliest`. `after` is when the one before was done, or the
    enrollment began."""
    start = after if step.delay_from == "previous" else enrollment.enrolled_at
    at = start + timedelta(minutes=step.delay_minutes)
    zone = zone_of(case)
    if step.delay_days:
        at = calendar.add_days(at, zone, step.delay_days)
    if step.delay_business_days:
        holidays = case.setting.tenant(case.row.tenant_id).holidays
        at = calendar.add_business_days(at, zone, step.delay_business_days, holidays)
    at = max(earliest, at)
    slot = _returned(case, enrollment, sequence, step, at) or opened(case, sequence, step, at)
    return _spread(case, enrollment, sequence, step, slot)


def shift(
    case: Case, enrollment: Enrollment, sequence: SequencePublished, step: SequenceStep
) -> Slot | None:
    """Where a step that came due has to wait until; None if it may go out now."""
    slot = _returned(case, enrollment, sequence, step, case.now)
    slot = slot or opened(case, sequence, step, case.now)
    if slot.at > case.now:
        return _spread(case, enrollment, sequence, step, slot)
    if step.channel not in TO_THE_LEAD or (capped := _capped(case)) is None:
        return None
    return Slot(opened(case, sequence, step, capped.at).at, capped.rule, capped.inputs)


def count(case: Case, channel: str) -> None:
    """Note that a message goes out now, if it is one of those that the cap counts."""
    if channel not in TO_THE_LEAD:
        return
    cap = case.setting.tenant(case.row.tenant_id).message_cap
    sent = (*case.row.sent, case.now)[-cap:] if cap else ()
    if sent != case.row.sent:
        case.row = changed(case.row, sent=sent)


def _capped(case: Case) -> Slot | None:
    tenant = case.setting.tenant(case.row.tenant_id)
    if not tenant.message_cap or len(case.row.sent) < tenant.message_cap:
        return None
    free = case.row.sent[-tenant.message_cap] + timedelta(days=tenant.cap_days)
    if free <= case.now:
        return None
    return Slot(free, "cap", {"messages": tenant.message_cap, "days": tenant.cap_days})


def opened(case: Case, sequence: SequencePublished, step: SequenceStep, at: datetime) -> Slot:
    """The first time from `at` on in the step's hours."""
    if step.channel not in DISTURBING:
        return Slot(at)
    tenant = case.setting.tenant(case.row.tenant_id)
    quiet, window = _hours(step.channel, sequence.window, tenant)
    if not quiet and not window:
        return Slot(at)
    zone = zone_of(case)
    found = calendar.next_open(at, zone, (*quiet, *window))
    if found is None:
        # Hours that never open are hours that nobody meant; but nobody is called at night for it.
        found = calendar.next_open(at, zone, quiet) or at
    if found == at:
        return Slot(at)
    looked_at: dict[str, object] = {"zone": zone, "from": at.isoformat()}
    if quiet and calendar.next_open(at, zone, quiet) != at:
        return Slot(found, "quiet_hours", {**looked_at, "hours": tenant.send_hours[step.channel]})
    shown = sequence.window
    hours = "" if shown is None else f"{shown.start}-{shown.end} {' '.join(shown.days)}".strip()
    return Slot(found, "window", {**looked_at, "hours": hours})


def _returned(
    case: Case,
    enrollment: Enrollment,
    sequence: SequencePublished,
    step: SequenceStep,
    at: datetime,
) -> Slot | None:
    """The first time in the step's hours when the person is back whom an automatic answer said
    to be away; None if that is past at `at`, or if a reply would not stop the sequence."""
    back = case.row.away_until
    if back is None or back <= at or not stops.stops_on(case, enrollment, "reply"):
        return None
    looked_at: dict[str, object] = {"due_at": at.isoformat(), "back_at": back.isoformat()}
    return Slot(opened(case, sequence, step, back).at, OUT_OF_OFFICE, looked_at)


def _spread(
    case: Case,
    enrollment: Enrollment,
    sequence: SequencePublished,
    step: SequenceStep,
    slot: Slot,
) -> Slot:
    """Somewhere in the step's spread, and before its hours close."""
    delay = calendar.spread(step.spread_minutes, enrollment.enrollment_id, step.step_id)
    if not delay:
        return slot
    at = slot.at + delay
    if opened(case, sequence, step, at).at != at:
        return slot
    return Slot(at, slot.rule or "spread", {**slot.inputs, "spread_minutes": step.spread_minutes})


def _hours(
    channel: str, window: SendWindow | None, tenant: Tenant
) -> tuple[tuple[calendar.Hours, ...], tuple[calendar.Hours, ...]]:
    """(quiet hours of the channel, the sequence's window). A task is no message: it may wait on
    somebody's list at night."""
    if channel == "task":
        return (), ()
    text = tenant.send_hours.get(channel)
    quiet = (calendar.parse_hours(text),) if text else ()
    return quiet, () if window is None else (_window(window, tenant.holidays),)


@cache
def _window(window: SendWindow, holidays: str) -> calendar.Hours:
    hours = calendar.parse_hours(f"{window.start}-{window.end}")
    return calendar.Hours(
        hours.start,
        hours.end,
        frozenset(DAYS.index(day) for day in window.days) or frozenset(range(7)),
        "" if window.holidays else holidays,
    )
