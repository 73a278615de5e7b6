"""/suppressions: who must not be written to, over which channel, why and since when."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse
from pydantic import StringConstraints

from leadflow import topics
from leadflow.errors import BrokerError
from leadflow.records import RawEvent, SuppressionChanged
from portal_api import paging
from portal_api.api.access import Ctx, Operator, tenant_of
from portal_api.api.bodies import Body, Text, Words
from portal_api.api.writing import Done, Write, run, wait_seconds
from portal_api.auth import Principal
from portal_api.context import Context
from portal_api.optout import opt
from portal_api.problems import Problem
from portal_api.store import sequences
from portal_api.store import suppressions as store
from portal_api.suppression import rules
from portal_api.suppression.records import BY_HAND, added, lifted


def only_known(request: Request) -> None:
    """Raises Problem 422 for a parameter that the route does not have: a filter that is misspelt
    would show everything, or everybody's."""
    asked = [request.scope["route"].dependant]
    known: set[str] = set()
    for each in asked:
        known |= {field.alias for field in each.query_params}
        asked += each.dependencies
    if unknown := sorted(request.query_params.keys() - known):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY,
            f"{unknown[0][:40]}: there is no such parameter, only {', '.join(sorted(known))}",
        )


def tenant_named(tenant_id: str | None = None, tenant: str | None = None) -> str | None:
    """The tenant that is meant, by either name. Raises Problem 422 where they differ."""
    if None not in (tenant_id, tenant) and tenant_id != tenant:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "tenant: tenant_id says another")
    return tenant_id if tenant is None else tenant


Tenant = Annotated[str | None, Depends(tenant_named)]
router = APIRouter(
    prefix="/suppressions", tags=["suppressions"], dependencies=[Depends(only_known)]
)

SHOWN_SECONDS = 3.0
Limit = Annotated[int, Query(ge=1, le=paging.LARGEST_PAGE)]
Channel = Literal["email", "sms", "whatsapp", "call"]
Reason = Literal[
    "opt_out", "provider_opt_out", "complaint", "hard_bounce", "soft_bounces", "manual"
]
State = Literal["active", "lifted", "all"]
Evidence = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1_000)]


class NewSuppression(Body):
    """Without `channel` (or with `all`): every channel that the address has."""

    tenant_id: Text | None = None
    address: Words
    channel: Literal["email", "sms", "whatsapp", "call", "all"] = "all"
    reason: Literal["opt_out", "complaint", "hard_bounce", "soft_bounces", "manual"] = "manual"
    note: Words


class Lift(Body):
    """Why, and against a person's own word the evidence of a new opt-in: what they said, when
    and where."""

    reason: Words
    evidence: Evidence = ""


@router.get("")
async def list_suppressions(
    context: Ctx,
    principal: Operator,
    tenant: Tenant,
    channel: Channel | None = None,
    reason: Reason | None = None,
    address: str | None = None,
    state: State = "active",
    limit: Limit = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """The latest first. `address` is what addresses begin with."""
    async with context.engine.connect() as connection:
        found = await store.find(
            connection,
            tenant=tenant_of(principal, tenant),
            channel=channel,
            reason=reason,
            state=state,
            # A plus sign that was not escaped arrives as a space.
            address=f"+{address.strip()}" if address and address[:1] == " " else address,
            after=paging.decode(cursor),
            limit=limit,
        )
    rows, following = paging.page(
        found, limit, lambda row: paging.encode(row["changed_at"], row["suppression_id"])
    )
    return {"items": [view(row) for row in rows], "next": following}


@router.post("", status_code=HTTPStatus.CREATED)
async def add(
    body: NewSuppression, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """Put an address on the list by hand. What stands there already stays as it is.

    An opt-out that somebody told is passed on to intake too, if the address is a lead's: then
    its sequences stop as after any other opt-out.
    """

    async def work(write: Write) -> Done:
        tenant_id = await known_tenant(context, principal, body.tenant_id)
        try:
            places = rules.places(body.address, body.channel, context.tenant(tenant_id).region)
        except rules.NotListable as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"address: {error}") from None
        records = [
            added(
                tenant_id,
                place.channel,
                place.address,
                body.reason,
                source=BY_HAND,
                by=principal.subject,
                note=body.note,
                cause_id=write.event_id("suppression"),
                at=write.now,
                now=write.now,
            )
            for place in places
        ]
        entries = [record.suppression_id for record in records]
        async with context.engine.connect() as connection:
            standing = await store.standing_of(connection, entries)
            somebody = await store.is_somebody(connection, tenant_id, places[0].address)
        new = [each for each in records if not standing.get(each.suppression_id, (False,))[0]]
        said = [
            opt(
                granted=False,
                tenant_id=tenant_id,
                channel=each.channel,
                address=each.address,
                evidence=body.note,
                event_id=write.event_id("opt_out", each.channel),
                now=write.now,
            )
            for each in new
            if each.reason == "opt_out" and somebody
        ]
        await publish(context, new, said)
        shown = await stand(context, request, entries, active=True)
        detail = {"reason": body.reason, "channels": [place.channel for place in places]}
        items = [await _shown(context, each) for each in records]
        answer = {"items": items, "added": len(new), "listed": shown}
        status = HTTPStatus.CREATED if shown else HTTPStatus.ACCEPTED
        return Done(status, answer, entries[0], {**detail, "added": len(new)})

    return await run(context, request, principal, "suppression.add", "suppressions", work)


@router.get("/{suppression_id}")
async def read(suppression_id: str, context: Ctx, principal: Operator) -> dict[str, Any]:
    """One entry. `lift` says whether a person may lift it, and how."""
    return view(await row_of(context, principal, suppression_id))


@router.delete("/{suppression_id}")
async def lift(
    suppression_id: str, body: Lift, request: Request, context: Ctx, principal: Operator
) -> JSONResponse:
    """Lift an entry. A person's own word (an opt-out, a complaint, what a provider heard) only
    with evidence of a new opt-in, which is passed on to intake: 409 without."""

    async def work(write: Write) -> Done:
        row = await row_of(context, principal, suppression_id)
        if not row["active"]:
            raise Problem(HTTPStatus.CONFLICT, "It is lifted already.")
        if why := rules.why_not_lifted(row["reason"], body.evidence):
            raise Problem(HTTPStatus.CONFLICT, why, reason=row["reason"])
        record = lifted(
            row,
            by=principal.subject,
            reason=body.reason,
            evidence=body.evidence,
            cause_id=write.event_id("lift"),
            now=write.now,
        )
        said = []
        if row["reason"] in rules.OWN_WORD:
            said = [
                opt(
                    granted=True,
                    tenant_id=row["tenant_id"],
                    channel=row["channel"],
                    address=row["address"],
                    evidence=f"{body.evidence} (entered by {principal.subject}: {body.reason})",
                    event_id=write.event_id("opt_in"),
                    now=write.now,
                )
            ]
        await publish(context, [record], said)
        shown = await stand(context, request, [suppression_id], active=False)
        answer = {**view(await row_of(context, principal, suppression_id)), "listed": shown}
        detail = {"reason": row["reason"], "evidence": bool(body.evidence)}
        return Done(HTTPStatus.OK if shown else HTTPStatus.ACCEPTED, answer, detail=detail)

    return await run(context, request, principal, "suppression.lift", suppression_id, work)


async def publish(
    context: Context, records: list[SuppressionChanged], said: list[RawEvent]
) -> None:
    """Raises Problem 503 where the log does not take it."""
    try:
        await context.publish(
            topics.SUPPRESSIONS, [(each.suppression_id, each) for each in records]
        )
        await context.publish_raw(said)
    except BrokerError:
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE, "The log does not answer. Try again in a moment."
        ) from None


async def stand(context: Context, request: Request, entries: list[str], *, active: bool) -> bool:
    """Whether the entries stand on the list, or not, as wanted: within a moment."""

    async def holds() -> bool:
        async with context.engine.connect() as connection:
            standing = await store.standing_of(connection, entries)
        return all(standing.get(each, (None,))[0] is active for each in entries)

    return await context.until(holds, wait_seconds(request, SHOWN_SECONDS))


async def known_tenant(context: Context, principal: Principal, wanted: str | None) -> str:
    """The tenant whose list is meant. Raises Problem 403 or 422."""
    tenant_id = tenant_of(principal, wanted)
    if tenant_id is None:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "tenant_id: say whose list is meant")
    async with context.engine.connect() as connection:
        known = {*await sequences.tenants(connection), *context.tenants}
    if tenant_id not in known:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"tenant_id: there is no tenant {tenant_id}")
    return tenant_id


async def row_of(context: Context, principal: Principal, suppression_id: str) -> dict[str, Any]:
    """Raises Problem 404, also where it is another tenant's."""
    async with context.engine.connect() as connection:
        row = await store.one(connection, suppression_id)
    if row is None or principal.tenant_id not in (None, row["tenant_id"]):
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no suppression {suppression_id}.")
    return row


async def _shown(context: Context, record: SuppressionChanged) -> dict[str, Any]:
    """The entry as the list has it; as it was told where the list has not got it yet."""
    async with context.engine.connect() as connection:
        row = await store.one(connection, record.suppression_id)
    return view(row or {**record.to_avro(), "changed_at": record.occurred_at})


def view(row: dict[str, Any]) -> dict[str, Any]:
    """An entry as the API shows it."""
    own_word = row["reason"] in rules.OWN_WORD
    return {
        "id": row["suppression_id"],
        "tenant_id": row["tenant_id"],
        "channel": row["channel"],
        "address": row["address"],
        "reason": row["reason"],
        "state": "active" if row["active"] else "lifted",
        "at": row["changed_at"],
        "source": row["source"],
        "by": row["changed_by"],
        "note": row["note"],
        "evidence": row["evidence"],
        "lift": "with evidence of a new opt-in" if own_word else "with a reason",
    }
