"""What becomes known about a lead: profile, stage, temperature, consent, status."""

from __future__ import annotations

from datetime import datetime

from leadflow.records import (
    ConsentChanged,
    EnrollmentPaused,
    EnrollmentResumed,
    LeadCreated,
    LeadQualified,
    LeadRecord,
    LeadUpdated,
    StageChanged,
)
from leadflow.records.base import changed
from sequencer.decide import dormancy, holds, retention, stops, triggers
from sequencer.decide.case import Case, inputs
from sequencer.model import Consent, Profile

ACTIVE = "active"
# Bases of permissions: a person's own word, and what somebody reads out of a call (intake).
OPT_IN = "opt-in"
INBOUND_CALL = "inbound call"


def seen(case: Case, event: LeadCreated | LeadUpdated) -> None:
    """A lead was seen. Nothing is triggered before its LeadCreated, nor while it is not
    active: a quarantined lead that is released is then treated as just created."""
    before = case.row
    newest = event.revision > before.profile_revision
    if newest:
        case.row = changed(
            case.row,
            tenant_id=event.tenant_id,
            owner=event.owner,
            source=before.source or event.source,
            status=event.status,
            profile=_profile(event),
            profile_revision=event.revision,
        )
        for grant in event.consent:
            at = grant.at or event.occurred_at
            _note_consent(case, grant.channel, grant.granted, grant.basis, at, opt_in=False)
    if isinstance(event, LeadCreated):
        case.row = changed(case.row, created=True, source=event.source)
    elif not before.created and retention.was_here(case, event):
        # Its row was forgotten: a lead as before, and not a new one. Its next entries have
        # numbers that none can have had.
        day = event.recorded_at.toordinal()
        case.row = changed(case.row, created=True, entries_before=day)
        _take_stage(case, event.stage, event.revision)
        dormancy.begin_anew(case, min(event.recorded_at, case.now))
        return
    follow_status(case, event)
    row = case.row
    if not row.created or row.status != ACTIVE:
        _move(case, event, event.stage, event.revision)
        return
    if before.created and before.status in (ACTIVE, "merged"):
        _move(case, event, event.stage, event.revision)
        return
    dormancy.begin_anew(case, min(event.recorded_at, case.now))
    # A lead enters its first stage at this moment, whatever overtook the news of it.
    if event.revision < row.stage_revision:
        triggers.on_stage(case, event, event.stage)
        triggers.on_event(case, event, "lead_created")
        if row.stage != event.stage:
            _enter(case, event, event.stage, row.stage)
        return
    if _take_stage(case, event.stage, event.revision):
        _leave(case, event, row.stage, event.stage)
    triggers.on_stage(case, event, case.row.stage)
    triggers.on_event(case, event, "lead_created")


def stage_changed(case: Case, event: StageChanged) -> None:
    _move(case, event, event.to_stage, event.revision)


def qualified(case: Case, event: LeadQualified) -> None:
    if case.row.temperature != event.temperature:
        case.row = changed(case.row, temperature=event.temperature)


def consent_changed(case: Case, event: ConsentChanged) -> None:
    opt_in = event.granted and event.basis != INBOUND_CALL
    _note_consent(case, event.channel, event.granted, event.basis, event.occurred_at, opt_in=opt_in)


def _note_consent(
    case: Case, channel: str, granted: bool, basis: str | None, at: datetime, *, opt_in: bool
) -> None:
    """Keep the newest word on a channel. A refusal is lifted by a person's own opt-in alone,
    never by an import or a form (product.md, "Opt-outs win over imports"); at the same
    moment the refusal wins, and it wins over a permission that is newer but nobody's own word."""
    old = case.row.consent_for(channel)
    everywhere = case.row.consent_for("all")
    if (
        granted
        and not opt_in
        and any(each is not None and not each.granted for each in (old, everywhere))
    ):
        return
    beaten = not granted and old is not None and old.granted and old.basis != OPT_IN
    if (
        old is not None
        and not beaten
        and (at < old.at or (at == old.at and (granted or not old.granted)))
    ):
        return
    new = Consent(channel=channel, granted=granted, basis=basis or "", at=at)
    others = tuple(each for each in case.row.consent if each.channel != channel)
    case.row = changed(case.row, consent=(*others, new))


def _profile(event: LeadCreated | LeadUpdated) -> Profile:
    address = event.address
    return Profile(
        first_name=event.first_name,
        last_name=event.last_name,
        email=event.email,
        phone=event.phone,
        company=event.company,
        title=event.title,
        service=event.service,
        street=address.street if address else None,
        city=address.city if address else None,
        region=address.region if address else None,
        postal_code=address.postal_code if address else None,
        country=address.country if address else None,
        language=event.language,
        timezone=event.timezone,
        urgency=event.urgency,
    )


def _take_stage(case: Case, stage: str, revision: int) -> bool:
    """Note the stage if nothing newer is known; True if it is another one."""
    row = case.row
    if revision <= row.stage_revision:
        return False
    case.row = changed(row, stage=stage, stage_revision=revision)
    return stage != row.stage


def _move(case: Case, event: LeadRecord, stage: str, revision: int) -> None:
    left = case.row.stage
    if _take_stage(case, stage, revision):
        _enter(case, event, left, stage)


def _enter(case: Case, event: LeadRecord, left: str, stage: str) -> None:
    if left in (dormancy.TRIGGER, *dormancy.CLOSED):
        dormancy.begin_anew(case, min(event.recorded_at, case.now))  # back in the pipeline
    _leave(case, event, left, stage)
    if case.row.created and case.row.status == ACTIVE:
        triggers.on_stage(case, event, stage)


def _leave(case: Case, event: LeadRecord, left: str, stage: str) -> None:
    """End what the change of stage ends, also of a lead that is merged away or quarantined: what
    waits for that to be undone must not go on then."""
    stops.stage_left(case, event, left, stage)
    if stage in stops.CLOSING_STAGES:
        stops.stop(case, event, stage, {"from": left})


def follow_status(case: Case, event: LeadRecord) -> None:
    """A lead that is merged away or quarantined waits; undone, it goes on where it was."""
    status = case.row.status
    for enrollment in case.row.live:
        if status == ACTIVE and enrollment.paused_by.startswith("lead_"):
            resumed = changed(enrollment, paused_by="")
            case.change(resumed)
            case.tell_of(
                EnrollmentResumed,
                enrollment,
                (event.event_id,),
                event.occurred_at,
                rule="lead_active",
                inputs=inputs({"status": status, **holds.left(resumed)}),
                next_due_at=enrollment.due_at,
            )
        elif status != ACTIVE and not enrollment.paused_by:
            rule = f"lead_{status}"
            case.change(changed(enrollment, paused_by=rule))
            case.tell_of(
                EnrollmentPaused,
                enrollment,
                (event.event_id,),
                event.occurred_at,
                rule=rule,
                inputs=inputs({"status": status}),
            )
