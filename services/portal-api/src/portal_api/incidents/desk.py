"""Opening, verifying and closing incidents: the rows decide, the log of controls follows them.

What is to be said in automation-controls is written down in the transaction of the decision and
said afterwards: a portal that dies in between is made up for by the next that looks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from leadflow import ids, topics
from leadflow.kafka.port import Outgoing
from leadflow.records import AutomationPaused, AutomationResumed
from portal_api.context import Context
from portal_api.incidents.kinds import KINDS
from portal_api.incidents.scopes import Scope, is_of_automation
from portal_api.live import Change
from portal_api.store import incidents as store

BY_HAND = ""
SOURCE = "portal-api"


class TaskOpen(Exception):
    """It cannot be closed: its verification task is not done."""


@dataclass(frozen=True, slots=True, kw_only=True)
class New:
    """An incident as it is to be opened; what is left out is the default of its kind."""

    incident_id: str
    kind: str
    scope: Scope
    reason: str
    owner: str
    by: str
    workflow: str = ""
    rollback: str = ""
    task: str = ""
    rule: str = BY_HAND
    subject: str = ""
    evidence: Mapping[str, Any] = field(default_factory=dict)


async def open_incident(context: Context, new: New, now: datetime) -> bool:
    """Write it down and pause its scope; False if it (or one of its rule) is open already."""
    scope = str(new.scope)
    rollback = new.rollback or KINDS[new.kind].rollback
    row = {
        "incident_id": new.incident_id,
        "tenant_id": new.scope.tenant_id,
        "kind": new.kind,
        "scope": scope,
        "workflow": new.workflow,
        "reason": new.reason,
        "owner": new.owner,
        "rollback": rollback,
        "rule": new.rule,
        "subject": new.subject,
        "evidence": new.evidence,
        "opened_at": now,
        "opened_by": new.by,
        "task": new.task or KINDS[new.kind].task,
    }
    async with context.engine.begin() as connection:
        await store.lock(connection, scope)
        opened = await store.insert(connection, row)
        if opened:
            detail = {"reason": new.reason, "scope": scope, "kind": new.kind}
            await store.note(connection, new.incident_id, now, new.by, "opened", detail)
            control = AutomationPaused(
                event_id=ids.derived_id("AutomationPaused", new.incident_id),
                tenant_id=new.scope.tenant_id,
                occurred_at=now,
                recorded_at=now,
                source=SOURCE,
                owner=new.owner,
                scope=scope,
                workflow=new.workflow,
                reason=new.reason,
                rollback=rollback,
                verification_status="open",
                paused_by=new.by,
            )
            await store.to_say(connection, scope, context.codec.encode(control))
    await say(context)
    tell_pages(context, new.scope.tenant_id)
    return opened


async def verify(
    context: Context, incident: Mapping[str, Any], *, note: str | None, by: str, now: datetime
) -> None:
    """Note that the verification task was done, by whom, and what was seen."""
    async with context.engine.begin() as connection:
        await store.lock(connection, incident["scope"])
        await store.set_task(
            connection, incident["incident_id"], done_at=now, done_by=by, note=note
        )
        await store.note(
            connection, incident["incident_id"], now, by, "verified", {"note": note or ""}
        )
    tell_pages(context, incident["tenant_id"])


async def take_back(
    context: Context, incident: Mapping[str, Any], *, note: str | None, by: str, now: datetime
) -> None:
    """The verification was a mistake: it is to be done again."""
    async with context.engine.begin() as connection:
        await store.lock(connection, incident["scope"])
        await store.set_task(
            connection, incident["incident_id"], done_at=None, done_by=None, note=None
        )
        await store.note(
            connection, incident["incident_id"], now, by, "verification taken back",
            {"note": note or ""},
        )  # fmt: skip
    tell_pages(context, incident["tenant_id"])


async def change(
    context: Context,
    incident: Mapping[str, Any],
    changes: Mapping[str, str],
    *,
    by: str,
    now: datetime,
) -> None:
    """Change its words; the history keeps those before. Another task is not done because the one
    before it was."""
    real = {name: said for name, said in changes.items() if said != incident[name]}
    if not real:
        return
    async with context.engine.begin() as connection:
        await store.lock(connection, incident["scope"])
        await store.change(connection, incident["incident_id"], real)
        if "task" in real:
            await store.set_task(
                connection, incident["incident_id"], done_at=None, done_by=None, note=None
            )
        detail = {name: {"before": incident[name], "after": said} for name, said in real.items()}
        await store.note(connection, incident["incident_id"], now, by, "changed", detail)
    tell_pages(context, incident["tenant_id"])


async def close(
    context: Context,
    incident_id: str,
    *,
    reason: str,
    rate_per_minute: int,
    by: str,
    now: datetime,
) -> list[str]:
    """Close it and resume its scope at that rate; the ids of the incidents that keep the scope
    paused all the same. Closed already, nothing changes.

    Raises TaskOpen, with the task, while that is not done.
    """
    async with context.engine.begin() as connection:
        found = await store.one(connection, incident_id)
        assert found is not None
        scope = found["scope"]
        await store.lock(connection, scope)
        on_scope = await store.open_on(connection, scope)
        others = [each["incident_id"] for each in on_scope if each["incident_id"] != incident_id]
        here = next((each for each in on_scope if each["incident_id"] == incident_id), None)
        if here is not None:
            if here["task_done_at"] is None:
                raise TaskOpen(here["task"])
            await store.close(
                connection,
                incident_id,
                at=now,
                by=by,
                reason=reason,
                rate_per_minute=rate_per_minute,
            )
            detail = {"reason": reason, "rate_per_minute": rate_per_minute, "still": others}
            await store.note(connection, incident_id, now, by, "closed", detail)
            if not others and is_of_automation(scope):
                control = resumed(
                    scope=scope,
                    tenant_id=here["tenant_id"],
                    event_id=ids.derived_id("AutomationResumed", incident_id),
                    owner=here["owner"],
                    reason=reason,
                    rate_per_minute=rate_per_minute,
                    by=by,
                    now=now,
                )
                await store.to_say(connection, scope, context.codec.encode(control))
    await say(context)
    tell_pages(context, found["tenant_id"])
    return others


async def lift(context: Context, control: AutomationResumed) -> bool:
    """Resume a scope that was paused by a record which somebody wrote to the topic; False, and
    nothing is said, if an incident is open on it by now."""
    async with context.engine.begin() as connection:
        await store.lock(connection, control.scope)
        if await store.open_on(connection, control.scope):
            return False
        await store.to_say(connection, control.scope, context.codec.encode(control))
    await say(context)
    return True


def resumed(
    *,
    scope: str,
    tenant_id: str,
    event_id: str,
    owner: str | None,
    reason: str,
    rate_per_minute: int,
    by: str,
    now: datetime,
) -> AutomationResumed:
    """The control that lets a scope go on."""
    return AutomationResumed(
        event_id=event_id,
        tenant_id=tenant_id,
        occurred_at=now,
        recorded_at=now,
        source=SOURCE,
        owner=owner,
        scope=scope,
        reason=reason,
        verification_status="done",
        resumed_by=by,
        rate_per_minute=rate_per_minute,
    )


async def say(context: Context) -> int:
    """Say in automation-controls what is written down to be said; how much that was.

    Raises BrokerError if the broker did not take it: it stays to be said.
    """
    async with context.engine.begin() as connection:
        waiting = await store.unsaid(connection)
        if not waiting:
            return 0
        await context.producer.send(
            [
                Outgoing(
                    topics.AUTOMATION_CONTROLS.name, each["scope"].encode(), bytes(each["value"])
                )
                for each in waiting
            ]
        )
        await store.said(connection, [each["position"] for each in waiting])
    return len(waiting)


def tell_pages(context: Context, tenant_id: str) -> None:
    """Open pages ask again."""
    context.broadcaster.publish({tenant_id: Change({"incidents"})})
