"""/dead-letters: what could not be processed, why, and what is done about it. For operators."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AwareDatetime, Field

from leadflow.kafka.replay import place_of
from leadflow.kafka.reviews import (
    DEFAULT_PER_MINUTE,
    DISCARDED,
    OPEN,
    REPLAYED,
    Filter,
)
from leadflow.redacted import redacted
from portal_api import paging
from portal_api.api.access import Ctx, Operator, tenant_of
from portal_api.api.bodies import Body, Name, Rate, Text, Words
from portal_api.api.enrollments import Limit
from portal_api.api.writing import Done, Write, run, wait_seconds
from portal_api.auth import Principal
from portal_api.context import Context
from portal_api.problems import Problem
from portal_api.store import dead_letters as store
from portal_api.store import letter_runs

router = APIRouter(prefix="/dead-letters", tags=["dead letters"])

MOST_IDS = 1000


class Chosen(Body):
    """Which letters are meant: all that every given part fits, `until` not included."""

    service: Name | None = None
    reason: Words | None = None
    tenant: Name | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    ids: Annotated[list[Name], Field(min_length=1, max_length=MOST_IDS)] | None = None
    dry_run: bool = False


class Replay(Chosen):
    """`again`: those too that were replayed or discarded before."""

    again: bool = False
    rate_per_minute: Rate = DEFAULT_PER_MINUTE
    why: Text | None = None


class Discard(Chosen):
    why: Words


Said = Annotated[str | None, Query(max_length=500)]
State = Literal["open", "replayed", "discarded"]


@router.get("/groups")
async def list_groups(
    context: Ctx,
    principal: Operator,
    tenant: Said = None,
    service: Said = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Letters by service and cause, counted; the cause with the latest letter first."""
    chosen = Filter(service=service, tenant=tenant_of(principal, tenant), since=since, until=until)
    async with context.engine.connect() as connection:
        found = await store.groups(connection, chosen, after=paging.decode(cursor), limit=limit)
    page, following = paging.page(
        found,
        limit,
        lambda row: paging.encode(row["newest_at"], f"{row['service']} {row['cause']}"),
    )
    return {"items": page, "next": following}


@router.get("/runs")
async def list_runs(
    context: Ctx,
    principal: Operator,
    tenant: Said = None,
    limit: Limit = 20,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Replays and discards, newest first."""
    async with context.engine.connect() as connection:
        found = await letter_runs.runs(
            connection,
            tenant=tenant_of(principal, tenant),
            after=paging.decode(cursor),
            limit=limit,
        )
    page, following = paging.page(
        found, limit, lambda row: paging.encode(row["created_at"], row["run_id"])
    )
    return {"items": [_run(row) for row in page], "next": following}


@router.get("/runs/{run_id}")
async def read_run(
    run_id: str, request: Request, context: Ctx, principal: Operator
) -> dict[str, Any]:
    """How far a run is. With `Prefer: wait=N` once it is over, or after N seconds."""

    async def over() -> bool:
        return (await _row_of(context, principal, run_id))["finished_at"] is not None

    await context.until(over, wait_seconds(request, 0))
    return _run(await _row_of(context, principal, run_id))


@router.post("/runs/{run_id}/cancel")
async def cancel_run(
    run_id: str, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """Leave as it is what was not done yet."""

    async def work(write: Write) -> Done:
        await _row_of(context, principal, run_id)
        async with context.engine.begin() as connection:
            ended = await letter_runs.cancel(connection, run_id, principal.subject, write.now)
        if not ended:
            raise Problem(HTTPStatus.CONFLICT, "It is over already.")
        return Done(HTTPStatus.OK, _run(await _row_of(context, principal, run_id)))

    return await run(context, request, principal, "dead-letters.cancel", run_id, work)


@router.post("/replay", status_code=HTTPStatus.ACCEPTED)
async def replay(body: Replay, request: Request, context: Ctx, principal: Operator) -> JSONResponse:
    """Put letters back where they came from, at a rate. With `dry_run` nothing is: the answer says
    which would be. What was replayed or discarded is passed over, but for `again`."""
    return await _act(context, request, principal, body, REPLAYED)


@router.post("/discard", status_code=HTTPStatus.ACCEPTED)
async def discard(
    body: Discard, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """Let letters go, and say why: they stay in the log and are not asked about any more."""
    return await _act(context, request, principal, body, DISCARDED)


@router.get("")
async def list_letters(
    context: Ctx,
    principal: Operator,
    tenant: Said = None,
    service: Said = None,
    reason: Said = None,
    since: AwareDatetime | None = None,
    until: AwareDatetime | None = None,
    state: State | None = None,
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Letters one by one, the latest first, without what is in them."""
    chosen = Filter(
        service=service,
        reason=reason,
        tenant=tenant_of(principal, tenant),
        since=since,
        until=until,
    )
    after = paging.decode(cursor)
    try:
        async with context.engine.connect() as connection:
            found = await store.letters(connection, chosen, state=state, after=after, limit=limit)
    except ValueError:
        raise Problem(HTTPStatus.BAD_REQUEST, "cursor: it is of another list.") from None
    page, following = paging.page(
        found, limit, lambda row: paging.encode(row["at"], store.id_of(row))
    )
    return {"items": [_letter(row) for row in page], "next": following}


@router.get("/{letter_id}")
async def read_letter(letter_id: str, context: Ctx, principal: Operator) -> dict[str, Any]:
    """One letter with what is in it, the person left out, and what was done about it."""
    nowhere = Problem(HTTPStatus.NOT_FOUND, f"There is no dead letter {letter_id[:120]}.")
    try:
        place = place_of(letter_id)
    except ValueError:
        raise nowhere from None
    async with context.engine.connect() as connection:
        row = await store.letter(connection, place)
        reviews = await store.reviews(connection, place)
    if row is None or not principal.sees(row["tenant_id"] or ""):
        raise nowhere
    message = (await context.letters.read([place])).get(place)
    kept = message is not None
    shown = redacted(context.codec, message.value) if message is not None else None
    return {**_letter(row), "kept": kept, "value": shown, "reviews": reviews}


async def _act(
    context: Context, request: Request, principal: Principal, body: Replay | Discard, action: str
) -> JSONResponse:
    chosen = _filter(principal, body)
    again = isinstance(body, Replay) and body.again

    async def work(write: Write) -> Done:
        async with context.engine.connect() as connection:
            totals = await store.totals(connection, chosen)
        told = _told(totals, action, again=again)
        if body.dry_run:
            return Done(HTTPStatus.OK, {"dry_run": True, **told}, detail=told)
        run_id = write.event_id("dead-letters", action)
        made = {
            "run_id": run_id,
            "tenant_id": chosen.tenant,
            "action": action,
            "chosen": chosen.in_words(),
            "reason": body.why or None,
            "requested_by": principal.subject,
            "rate_per_minute": body.rate_per_minute if isinstance(body, Replay) else None,
            "created_at": write.now,
        }
        async with context.engine.begin() as connection:
            await letter_runs.create(connection, made, chosen, again=again)
        context.letters_wait.set()
        shown = _run(await _row_of(context, principal, run_id))
        detail = {"run_id": run_id, "filter": chosen.in_words(), "total": shown["total"]}
        return Done(HTTPStatus.ACCEPTED, shown, run_id, detail)

    audited = "dead-letters.replay" if action == REPLAYED else "dead-letters.discard"
    return await run(context, request, principal, audited, chosen.in_words()[:300], work)


def _filter(principal: Principal, body: Chosen) -> Filter:
    for each in body.ids or ():
        try:
            place_of(each)
        except ValueError as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"ids: {error}.") from None
    return Filter(
        service=body.service,
        reason=body.reason,
        tenant=tenant_of(principal, body.tenant),
        since=body.since,
        until=body.until,
        letter_ids=tuple(body.ids or ()),
    )


def _told(totals: Mapping[str, Any], action: str, *, again: bool) -> dict[str, Any]:
    """What a run would take, and what it would pass over, and why."""
    replaying = action == REPLAYED
    number = totals["open"] - (totals["stuck"] if replaying else 0)
    passed = {
        "replayed": totals["replayed"],
        "discarded": totals["discarded"],
        "stuck": totals["stuck"] if replaying else 0,
    }
    if again:
        number += totals["replayed"] + totals["discarded"]
        number -= totals["all_stuck"] - totals["stuck"]
        passed |= {"replayed": 0, "discarded": 0, "stuck": totals["all_stuck"]}
    return {
        "letters": number,
        "passed_over": passed,
        "came_back": totals["came_back"],
        "oldest_at": _iso(totals["oldest_at"]),
        "newest_at": _iso(totals["newest_at"]),
    }


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


async def _row_of(context: Context, principal: Principal, run_id: str) -> dict[str, Any]:
    async with context.engine.connect() as connection:
        row = await letter_runs.run(connection, run_id)
    if row is None or not principal.sees(row["tenant_id"] or ""):
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no run {run_id[:120]}.")
    return row


_COUNTED = ("waiting", "done", "gone", "skipped", "cancelled")
_OF_A_RUN = (
    "tenant_id", "action", "chosen", "again", "reason", "requested_by", "rate_per_minute", "total",
    "created_at", "cancelled_at", "cancelled_by", "finished_at",
)  # fmt: skip
_OF_A_LETTER = (
    "tenant_id", "service", "cause", "error", "reason", "at", "event_id", "was", "stuck",
    "replay_of", "origin_topic", "origin_partition", "origin_offset", "reviewed_at", "reviewed_by",
    "review_reason", "run_id",
)  # fmt: skip


def _run(row: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": row["run_id"],
        **{name: row[name] for name in _OF_A_RUN},
        "counts": {name: row[name] for name in _COUNTED},
    }


def _letter(row: Mapping[str, Any]) -> dict[str, Any]:
    shown = {name: row[name] for name in _OF_A_LETTER}
    return {"id": store.id_of(dict(row)), "state": row["state"] or OPEN, **shown}
