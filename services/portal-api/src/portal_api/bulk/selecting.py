"""Who a bulk job is about: leads by id or by filter, with what the read models know of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from leadflow.records import SequencePublished
from leadflow.tenants import Tenant
from portal_api import editing
from portal_api.bulk.decide import asking, enrolling, moving
from portal_api.bulk.decide.commands import event_id
from portal_api.bulk.model import (
    ENROLL,
    MIGRATE,
    Candidate,
    Job,
    Outlook,
    Passage,
    Word,
)
from portal_api.store import leads as lead_store
from portal_api.store import sequences as sequence_store
from portal_api.store.connection import rows

CHUNK = 250

# Group and priority of the version that the lead is in: other sequences of a group are rivals.
_PASSAGES = """
SELECT e.*, coalesce(s.definition->>'exclusive_group', '') AS exclusive_group,
       coalesce((s.definition->>'priority')::int, 0) AS priority
FROM enrollments e LEFT JOIN sequences s
  ON s.sequence_id = e.sequence_id AND s.version = e.sequence_version
WHERE e.lead_id = ANY(CAST(:leads AS text[])) AND e.enrolled_at IS NOT NULL
  AND (:every OR e.sequence_id = :sequence)
"""

_TOLD = """
SELECT type, data, recorded_at FROM timeline
WHERE lead_id = ANY(CAST(:leads AS text[])) AND topic = 'enrollment-events'
  AND data->>'sequence_id' = :sequence
  AND type IN ('Enrolled', 'StepScheduled', 'StepFired', 'StepSkipped', 'EnrollmentMigrated',
               'EnrollmentPaused', 'EnrollmentResumed')
ORDER BY recorded_at, type <> 'EnrollmentMigrated'
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chosen:
    """Which leads: these, or all that fit the filter (as GET /leads takes it). `owner` limits
    both to the leads of one person."""

    lead_ids: Sequence[str] | None = None
    fitting: Mapping[str, str] = field(default_factory=dict)
    owner: str | None = None


async def items(
    connection: AsyncConnection,
    job: Job,
    sequence: SequencePublished,
    chosen: Chosen,
    tenant: Tenant,
    now: datetime,
) -> AsyncGenerator[list[dict[str, Any]], None]:
    """Rows for bulk_items, some hundred at a time, so that no chunk holds the loop for long.

    `sequence` is the version that takes leads in, or the one that enrollments move to.
    """
    paused = await sequence_store.paused_scopes(connection)
    versions = await _versions(connection, job) if job.action == MIGRATE else {}
    position = 0
    async for leads in _leads(connection, job, chosen):
        told: dict[str, list[dict[str, Any]]] = {}
        if job.action == MIGRATE:
            told = await _told(connection, job.sequence_id, [each.lead_id for each in leads])
        made = []
        for lead in leads:
            run = lead.live_in(job.sequence_id)
            if chosen.lead_ids is None and run is not None and not _meant(job, run):
                continue
            if job.action == ENROLL:
                outlook = enrolling.outlook(lead, sequence, paused, now)
            elif job.action == MIGRATE:
                at = None if run is None else _standing(told, run, versions)
                zone = tenant.timezone
                outlook = moving.outlook(lead, run, at, sequence, versions, zone, now, paused)
            else:
                outlook = asking.outlook(job.action, run)
            made.append(_item(job, position, lead, run, outlook, now))
            position += 1
        yield made


def _meant(job: Job, run: Passage) -> bool:
    """Whether a filter means this enrollment, too: of this version or an older one, and one to
    which the action can be done."""
    if job.action == ENROLL:
        return True
    if job.action == MIGRATE:
        wanted = job.from_version
        older = run.version < (job.to_version or 0)
        return older if wanted is None else run.version == wanted
    can_be = asking.refusal(job.action, run.status, run.held_by) is None
    return can_be and job.from_version in (None, run.version)


def _standing(
    told: Mapping[str, Sequence[Mapping[str, Any]]], run: Passage, versions: moving.Versions
) -> moving.Standing:
    lines = told.get(run.enrollment_id, ())
    begun = next((each["data"] for each in lines if each["type"] == "Enrolled"), None)
    return moving.standing(
        lines, int(run.version if begun is None else begun["sequence_version"]), versions
    )


def _item(
    job: Job,
    position: int,
    lead: Candidate,
    run: Passage | None,
    outlook: Outlook,
    now: datetime,
) -> dict[str, Any]:
    asked = outlook.asked
    return {
        "bulk_id": job.bulk_id,
        "position": position,
        "lead_id": lead.lead_id,
        "owner": lead.owner,
        "enrollment_id": None if job.action == ENROLL or run is None else run.enrollment_id,
        "event_id": event_id(job.bulk_id, lead.lead_id),
        "expected": "refused" if outlook.refused else "done",
        "expected_rule": outlook.refused or None,
        "expected_inputs": dict(outlook.inputs),
        "plan": dict(outlook.plan),
        "state": "waiting" if asked else "refused",
        "rule": None if asked else outlook.refused,
        "inputs": None if asked else dict(outlook.inputs),
        "decided_by": None if asked else "portal-api",
        "decided_at": None if asked else now,
    }


async def _leads(
    connection: AsyncConnection, job: Job, chosen: Chosen
) -> AsyncIterator[list[Candidate]]:
    """The leads that are meant, a chunk at a time; of ids that nobody has only the id."""
    if chosen.lead_ids is not None:
        wanted = list(dict.fromkeys(chosen.lead_ids))
        for begin in range(0, len(wanted), CHUNK):
            chunk = wanted[begin : begin + CHUNK]
            found = await lead_store.find(
                connection,
                tenant=job.tenant_id,
                owner=chosen.owner,
                lead_ids=chunk,
                limit=len(chunk),
            )
            known = {each.lead_id: each for each in await _candidates(connection, job, found)}
            yield [known.get(each) or Candidate(lead_id=each) for each in chunk]
        return
    after: tuple[datetime | None, str] = (None, "")
    while True:
        found = await lead_store.find(
            connection,
            tenant=job.tenant_id,
            owner=chosen.owner,
            live_in=None if job.action == ENROLL else job.sequence_id,
            after=after,
            limit=CHUNK,
            **chosen.fitting,
        )
        if found:
            yield await _candidates(connection, job, found[:CHUNK])
        if len(found) <= CHUNK:
            return
        after = (found[CHUNK - 1]["created_at"], found[CHUNK - 1]["lead_id"])


async def _candidates(
    connection: AsyncConnection, job: Job, found: Sequence[Mapping[str, Any]]
) -> list[Candidate]:
    values = {
        "leads": [each["lead_id"] for each in found],
        "sequence": job.sequence_id,
        "every": job.action == ENROLL,
    }
    passages: dict[str, list[Passage]] = {}
    for each in await rows(connection, _PASSAGES, values):
        passages.setdefault(each["lead_id"], []).append(
            Passage(
                enrollment_id=each["enrollment_id"],
                sequence_id=each["sequence_id"],
                version=each["sequence_version"],
                status=each["status"],
                enrolled_at=each["enrolled_at"],
                ended_at=each["ended_at"],
                next_due_at=each["next_due_at"],
                held_by=each["held_by"],
                group=each["exclusive_group"],
                priority=each["priority"],
            )
        )
    return [_candidate(each, passages.get(each["lead_id"], [])) for each in found]


def _candidate(row: Mapping[str, Any], passages: Sequence[Passage]) -> Candidate:
    return Candidate(
        lead_id=row["lead_id"],
        status="merged" if row["merged_into"] else row["status"] or "unknown",
        owner=row["owner"],
        email=row["email"] or "",
        phone=row["phone"] or "",
        timezone=row["timezone"] or "",
        words=tuple(
            Word(
                channel=channel,
                granted=bool(said["granted"]),
                at=datetime.fromisoformat(said["at"]),
            )
            for channel, said in (row["consents"] or {}).items()
            if said["at"]
        ),
        passages=tuple(passages),
    )


async def _told(
    connection: AsyncConnection, sequence_id: str, lead_ids: Sequence[str]
) -> dict[str, list[dict[str, Any]]]:
    """What was told of the enrollments of these leads, by enrollment, in order of time."""
    told: dict[str, list[dict[str, Any]]] = {}
    for each in await rows(connection, _TOLD, {"leads": list(lead_ids), "sequence": sequence_id}):
        told.setdefault(each["data"]["enrollment_id"], []).append(each)
    return told


async def _versions(connection: AsyncConnection, job: Job) -> dict[int, SequencePublished]:
    found = await rows(
        connection,
        "SELECT version, definition FROM sequences WHERE sequence_id = :sequence",
        {"sequence": job.sequence_id},
    )
    return {each["version"]: editing.from_definition(each["definition"]) for each in found}
