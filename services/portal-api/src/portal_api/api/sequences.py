"""/sequences: list, read, write, archive. A write is a new version in the log."""

from __future__ import annotations

from dataclasses import replace
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from leadflow import topics
from leadflow.pacing import DEFAULT_PER_MINUTE
from leadflow.records import SequencePublished, SequenceStep
from portal_api import editing, views
from portal_api.api import incidents
from portal_api.api.access import Ctx, Operator, Staff, tenant_of
from portal_api.api.bodies import NewSequence, Rules, SequenceChange, StepBody
from portal_api.api.writing import Done, Write, run, wait_seconds
from portal_api.auth import Principal
from portal_api.context import Context
from portal_api.editing import Refused
from portal_api.incidents import desk
from portal_api.incidents.scopes import Scope
from portal_api.problems import Problem
from portal_api.store import incidents as incident_store
from portal_api.store import sequences as store
from portal_api.store import writes
from portal_api.wording import check_template

router = APIRouter(prefix="/sequences", tags=["sequences"])

SHOWN_SECONDS = 3.0
# What a sequence is paused for by hand, where nobody says.
BY_HAND_KIND = "data_quality"


@router.get("")
async def list_sequences(
    context: Ctx,
    principal: Staff,
    tenant: str | None = None,
    archived: bool = False,
) -> dict[str, Any]:
    """Every sequence with its steps and rollups; archived ones only when asked for."""
    shown = tenant_of(principal, tenant)
    async with context.engine.connect() as connection:
        found = await store.all_of(connection, shown)
        counted = views.Counted(await store.counters(connection, shown))
        paused = await store.paused_scopes(connection)
    items = [
        views.sequence(editing.from_definition(row["definition"]), row, counted, paused)
        for row in found
        if archived or row["status"] != "archived"
    ]
    return {"items": items, "next": None}


@router.get("/stats")
async def sequence_stats(
    context: Ctx, principal: Staff, tenant: str | None = None
) -> dict[str, Any]:
    """Rollups over all sequences, and of each."""
    answer = await list_sequences(context, principal, tenant)
    items = answer["items"]
    total = {
        name: sum(item["stats"][name] for item in items)
        for name in ("enrolled", "running", "sent_email", *views.MESSAGE_NAMES)
    }
    return {
        "sequences": len(items),
        "active": sum(item["status"] == "active" for item in items),
        **total,
        "open_rate": views.rate(total["opened"], total["sent_email"]),
        "reply_rate": views.rate(total["replied"], total["sent"]),
        "items": [{"id": item["id"], "name": item["name"], **item["stats"]} for item in items],
    }


@router.post("", status_code=HTTPStatus.CREATED)
async def create_sequence(
    body: NewSequence, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """A new sequence, as a draft unless `status` says active and nothing is missing."""

    async def work(write: Write) -> Done:
        tenant_id = tenant_of(principal, body.tenant_id)
        if not tenant_id:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "tenant_id: say whose it is")
        if context.tenants and tenant_id not in context.tenants:
            raise Problem(
                HTTPStatus.UNPROCESSABLE_ENTITY, f"tenant_id: there is no tenant {tenant_id}"
            )
        async with context.engine.connect() as connection:
            taken = [row["sequence_id"] for row in await store.all_of(connection, tenant_id)]
        draft = SequencePublished(
            event_id="",
            tenant_id=tenant_id,
            occurred_at=write.now,
            recorded_at=write.now,
            source="portal-api",
            owner=principal.subject,
            sequence_id=editing.free_id(tenant_id, body.name, taken),
            version=0,
            name=body.name,
            description="",
            status="draft",
            trigger=editing.trigger_of("manual", ""),
            trigger_source="",
            consent_rule="not_opted_out",
            duplicate_rule="one_live_enrollment",
            rollback_path="",
            incident_owner="",
            response_window="",
            reentry_rule="never",
            reentry_days=0,
            priority=50,
            stop_on=editing.STOPS,
        )
        steps: tuple[SequenceStep, ...] = ()
        for each in body.steps:
            step = step_of(each, editing.free_step_id(replace(draft, steps=steps), name_of(each)))
            steps = editing.with_step(replace(draft, steps=steps), step, each.step_order)
        record = revise(context, draft, write, **changes_of(body), name=body.name, steps=steps)
        return await publish(context, request, principal, write, record, HTTPStatus.CREATED)

    return await run(context, request, principal, "sequence.create", body.name, work)


@router.get("/{sequence_id}")
async def read_sequence(
    sequence_id: str, context: Ctx, principal: Staff, version: int | None = Query(None)
) -> dict[str, Any]:
    row = await row_of(context, principal, sequence_id)
    if version is not None and version != row["version"]:
        raise Problem(HTTPStatus.NOT_FOUND, f"The newest version is {row['version']}.")
    return await shown(context, row)


@router.put("/{sequence_id}")
async def change_sequence(
    sequence_id: str, body: SequenceChange, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """A new version with the changes; to pause also holds the enrollments that are running."""

    async def work(write: Write) -> Done:
        row = await row_of(context, principal, sequence_id)
        record = editing.from_definition(row["definition"])
        same_version(body.version, record)
        changes = changes_of(body)
        if body.status == "paused" and record.status != "active":
            raise Problem(HTTPStatus.CONFLICT, f"It is {record.status}: there is nothing to pause.")
        release: dict[str, Any] | None = None
        if body.status in ("paused", "active") and record.status == "active":
            # A pause is an incident, not a version: it holds what is already running too, and
            # it is over as soon as somebody has verified that it may be.
            if body.status == "paused":
                await _pause(context, principal, write, record, body)
            else:
                release = await _resume(context, principal, write, record, body)
            del changes["status"]
        if not changes and body.name is None:
            return await _held(context, request, row, body.status, release)
        if body.name is not None:
            changes["name"] = body.name
        changed = revise(context, record, write, **changes)
        return await publish(context, request, principal, write, changed, HTTPStatus.OK)

    return await run(context, request, principal, "sequence.change", sequence_id, work)


@router.delete("/{sequence_id}")
async def archive_sequence(
    sequence_id: str, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """Archive: nobody new enters. Its history stays."""

    async def work(write: Write) -> Done:
        row = await row_of(context, principal, sequence_id)
        record = editing.from_definition(row["definition"])
        if record.status == "archived":
            return Done(HTTPStatus.OK, await shown(context, row))
        changed = revise(context, record, write, status="archived")
        return await publish(context, request, principal, write, changed, HTTPStatus.OK)

    return await run(context, request, principal, "sequence.archive", sequence_id, work)


def changes_of(body: Rules) -> dict[str, Any]:
    """The fields of the record that a body sets."""
    changes: dict[str, Any] = {
        name: value
        for name in (
            "description",
            "status",
            "owner",
            "consent_rule",
            "duplicate_rule",
            "rollback_path",
            "incident_owner",
            "response_window",
            "priority",
        )
        if (value := getattr(body, name)) is not None
    }
    if body.trigger is not None:
        changes["trigger"] = editing.trigger_of(body.trigger.kind, body.trigger.value)
    elif body.trigger_stage is not None:
        changes["trigger"] = editing.trigger_of("stage", body.trigger_stage)
    if body.source is not None:
        changes["trigger_source"] = "" if body.source == "any" else body.source
    if body.reentry is not None:
        changes |= {"reentry_rule": body.reentry.rule, "reentry_days": body.reentry.days}
    if body.exclusive_group is not None:
        changes["exclusive_group"] = body.exclusive_group
    if "window" in body.model_fields_set:
        changes["window"] = editing.window_of(body.window.model_dump() if body.window else None)
    if body.stop_on is not None:
        changes["stop_on"] = tuple(dict.fromkeys([*body.stop_on, *editing.ALWAYS_STOP]))
    return changes


def name_of(step: StepBody) -> str:
    return step.template_name or step.template_subject or step.channel


def step_of(body: StepBody, step_id: str) -> SequenceStep:
    return SequenceStep(
        step_id=step_id,
        channel=body.channel,
        delay_minutes=body.delay_minutes,
        delay_from=body.delay_from,
        template_name=body.template_name
        or ("" if body.channel in editing.WITHOUT_MESSAGE else step_id),
        subject=body.template_subject,
        body=body.template_body,
        body_html=body.template_html,
        condition=editing.condition_of(
            None if body.condition is None else body.condition.model_dump()
        ),
        delay_days=body.delay_days,
        delay_business_days=body.delay_business_days,
        spread_minutes=body.spread_minutes,
        blocks=body.blocks,
        otherwise=body.otherwise,
        arms=tuple(editing.arm_of(each.model_dump()) for each in body.arms),
    )


def revise(
    context: Context, record: SequencePublished, write: Write, **changes: Any
) -> SequencePublished:
    """The next version, checked whole. Raises Problem 422 with what is missing."""
    try:
        for step in changes.get("steps", ()):
            check_template("template_subject", step.subject)
            check_template("template_body", step.body)
            check_template("template_html", step.body_html)
            for arm in step.arms:
                check_template("arms", arm.subject)
                check_template("arms", arm.body)
                check_template("arms", arm.body_html)
        changed = editing.next_version(record, write.now, **changes)
        if "trigger" in changes or changed.status == "active":
            tenant = context.tenant(changed.tenant_id)
            editing.check_pipeline(changed, tenant.pipeline)
            editing.check_retention(changed, tenant.retention_days)
        editing.check_activation(changed)
    except Refused as refused:
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, str(refused), missing=list(refused.missing)
        ) from None
    return changed


def same_version(edited: int | None, record: SequencePublished) -> None:
    """Raises Problem 409 if somebody published another version meanwhile."""
    if edited is not None and edited != record.version:
        raise Problem(
            HTTPStatus.CONFLICT,
            f"It was changed meanwhile: version {record.version} is there, "
            f"you edited {edited}. Load it again.",
        )


async def row_of(context: Context, principal: Principal, sequence_id: str) -> dict[str, Any]:
    """The row of the newest version. Raises Problem 404, also where it is another tenant's."""
    async with context.engine.connect() as connection:
        row = await store.one(connection, sequence_id)
    if row is None or principal.tenant_id not in (None, row["tenant_id"]):
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no sequence {sequence_id}.")
    return row


async def shown(context: Context, row: dict[str, Any]) -> dict[str, Any]:
    async with context.engine.connect() as connection:
        counters = await store.counters(connection, row["tenant_id"], row["sequence_id"])
        paused = await store.paused_scopes(connection)
    record = editing.from_definition(row["definition"])
    return views.sequence(record, row, views.Counted(counters), paused)


async def publish(
    context: Context,
    request: Request,
    principal: Principal,
    write: Write,
    record: SequencePublished,
    status: int,
) -> Done:
    """Write the version to the log and wait a moment for it to be shown; 202 if it is not yet.

    Raises Problem 409 if somebody else is publishing the same version.
    """
    name = f"sequence:{record.sequence_id}:{record.version}"
    async with context.engine.begin() as connection:
        ours = await writes.claim(connection, name, write.seed, write.now)
    if not ours:
        raise Problem(HTTPStatus.CONFLICT, "It is being changed by somebody else. Load it again.")
    key = f"{record.sequence_id}:{record.version}"
    await context.publish(topics.SEQUENCE_DEFINITIONS, [(key, record)])

    async def is_shown() -> bool:
        async with context.engine.connect() as connection:
            return await store.exists(connection, record.sequence_id, record.version)

    detail = {"version": record.version, "status": record.status, "steps": len(record.steps)}
    if not await context.until(is_shown, wait_seconds(request, SHOWN_SECONDS)):
        body = {"id": record.sequence_id, "version": record.version, "state": "accepted"}
        return Done(HTTPStatus.ACCEPTED, body, record.sequence_id, detail)
    row = await row_of(context, principal, record.sequence_id)
    return Done(status, await shown(context, row), record.sequence_id, detail)


def scope_of(record: SequencePublished) -> str:
    return str(Scope("sequence", record.tenant_id, record.sequence_id))


async def _pause(
    context: Context,
    principal: Principal,
    write: Write,
    record: SequencePublished,
    body: SequenceChange,
) -> None:
    """Open an incident on the sequence, unless somebody has by hand."""
    async with context.engine.connect() as connection:
        there = await incident_store.open_on(connection, scope_of(record))
    if any(each["rule"] == desk.BY_HAND for each in there):
        return
    new = desk.New(
        incident_id=write.event_id("incident"),
        kind=body.kind or BY_HAND_KIND,
        scope=Scope("sequence", record.tenant_id, record.sequence_id),
        reason=body.reason or "paused by hand",
        owner=record.incident_owner or principal.subject,
        by=principal.subject,
        workflow=record.name,
        rollback=record.rollback_path,
    )
    await desk.open_incident(context, new, write.now)


async def _resume(
    context: Context,
    principal: Principal,
    write: Write,
    record: SequencePublished,
    body: SequenceChange,
) -> dict[str, Any]:
    """Close what is open on the sequence; what goes on, and when. With `verified` the tasks
    that are left are said to be done.

    Raises Problem 409 with the task if one is not.
    """
    scope = scope_of(record)
    rate = body.rate_per_minute or DEFAULT_PER_MINUTE
    reason = body.reason or "resumed by hand"
    release = {**await incidents.preview(context, principal, scope, rate), "resumed": True}
    async with context.engine.connect() as connection:
        there = await incident_store.open_on(connection, scope)
        paused = scope in await store.paused_scopes(connection)
    undone = [each for each in there if each["task_done_at"] is None]
    if undone and not body.verified:
        raise incidents.not_verified(undone[0])
    for row in undone:
        by = principal.subject
        await desk.verify(context, row, note=body.verified, by=by, now=write.now)
    for row in there:
        closed = await incidents.close(
            context, principal, write, row, reason=reason, rate_per_minute=rate
        )
        release["resumed"] = closed["resumed"]
    if paused and not there:
        # Paused by something that opens no incident: a record somebody wrote to the topic.
        control = desk.resumed(
            scope=scope,
            tenant_id=record.tenant_id,
            event_id=write.event_id("control", scope),
            owner=record.owner,
            reason=reason,
            rate_per_minute=rate,
            by=principal.subject,
            now=write.now,
        )
        release["resumed"] = await desk.lift(context, control)
    return release


async def _held(
    context: Context,
    request: Request,
    row: dict[str, Any],
    status: str | None,
    release: dict[str, Any] | None,
) -> Done:
    """Answer once the page would show the pause, or that it is over and what goes on when."""
    if status not in ("paused", "active"):
        return Done(HTTPStatus.OK, await shown(context, row))

    async def holds() -> bool:
        return bool((await shown(context, row))["status"] == status)

    done = await context.until(holds, wait_seconds(request, SHOWN_SECONDS))
    code = HTTPStatus.OK if done else HTTPStatus.ACCEPTED
    answer = await shown(context, row)
    if release is not None:
        answer["release"] = release
    return Done(code, answer, detail={"status": status})
