"""/suppressions/import and /export: lists as CSV."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import JSONResponse, Response, StreamingResponse

from portal_api.api.access import Ctx, Operator, tenant_of
from portal_api.api.suppressions import Channel, Limit, State, Tenant, known_tenant, only_known
from portal_api.api.writing import Done, Write, run
from portal_api.auth import Principal
from portal_api.context import Context
from portal_api.problems import Problem
from portal_api.store import suppressions as store
from portal_api.store import writes
from portal_api.suppression import files
from portal_api.suppression.importing import plan

router = APIRouter(
    prefix="/suppressions", tags=["suppressions"], dependencies=[Depends(only_known)]
)

CSV = "text/csv; charset=utf-8"
SHOWN_REFUSALS = 100
PIECE_LINES = 500
FileName = Annotated[str, Query(max_length=120)]


@router.post("/import", status_code=HTTPStatus.ACCEPTED)
async def import_list(
    request: Request,
    context: Ctx,
    principal: Operator,
    tenant: Tenant,
    channel: Channel | None = None,
    reason: Annotated[str, Query(max_length=40)] = "",
    file: FileName = "list.csv",
    dry_run: bool = False,
) -> JSONResponse:
    """A CSV file as the body, at most 5 MB and 50,000 lines; its first line names the columns.

    `address` is needed (or `email`, `phone`, or both: each is taken); `channel`, `reason`, `time`
    and `note` are taken where they are there, `channel` and `reason` of the query otherwise.
    `dry_run` says what would come of it and changes nothing; `ignored` are the columns that say
    nothing to us. Lines that cannot be taken are refused one by one, with the reason.
    """
    length = request.headers.get("content-length", "")
    if not length.isdigit():
        raise Problem(HTTPStatus.LENGTH_REQUIRED, "Send the file with a Content-Length.")
    if int(length) > files.LARGEST_BYTES:
        raise Problem(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
            f"a file has at most {files.LARGEST_BYTES // 1_000_000} MB: split it",
        )

    async def work(write: Write) -> Done:
        tenant_id = await known_tenant(context, principal, tenant)
        try:
            listed = files.read(
                await request.body(),
                region=context.tenant(tenant_id).region,
                now=write.now,
                channel=channel or "",
                reason=reason,
            )
        except files.NoList as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"file: {error}") from None
        async with context.engine.begin() as connection:
            new, known, refused = await plan(connection, tenant_id, listed, write.now)
            import_id = write.event_id("import")
            counts = {"rows": listed.lines, "new": len(new), "known": known}
            if not dry_run:
                await store.begin_import(
                    connection,
                    {
                        "import_id": import_id,
                        "tenant_id": tenant_id,
                        "file": file,
                        "begun_at": write.now,
                        "begun_by": principal.subject,
                        "rows": listed.lines,
                        "accepted": len(new),
                        "entries": new,
                        "refused": [asdict(each) for each in refused],
                    },
                )
        context.import_waits.set()
        answer = {
            **counts,
            "id": None if dry_run else import_id,
            "dry_run": dry_run,
            "ignored": listed.ignored,
            "refused": len(refused),
            "refusals": [asdict(each) for each in refused[:SHOWN_REFUSALS]],
        }
        status = HTTPStatus.OK if dry_run else HTTPStatus.ACCEPTED
        detail = {**counts, "refused": len(refused), "dry_run": dry_run}
        return Done(status, answer, "" if dry_run else import_id, detail)

    return await run(context, request, principal, "suppression.import", "suppressions", work)


@router.get("/imports")
async def list_imports(
    context: Ctx, principal: Operator, tenant: Tenant, limit: Limit = 20
) -> dict[str, Any]:
    """The latest imports and how far each has got."""
    async with context.engine.connect() as connection:
        found = await store.imports(connection, tenant_of(principal, tenant), limit)
    return {"items": [view(row) for row in found]}


@router.get("/imports/{import_id}")
async def read_import(import_id: str, context: Ctx, principal: Operator) -> dict[str, Any]:
    """How far an import has got: `told` of `new` are in the log."""
    return view(await _row_of(context, principal, import_id))


@router.get("/imports/{import_id}/refused")
async def refused_lines(import_id: str, context: Ctx, principal: Operator) -> Response:
    """The refused lines as CSV: line, address, why."""
    await _row_of(context, principal, import_id)
    async with context.engine.connect() as connection:
        refused = await store.refused_of(connection, import_id)
    return Response(files.refusals(refused), media_type=CSV, headers=_as_file("refused.csv"))


@router.get("/export")
async def export(
    context: Ctx,
    principal: Operator,
    tenant: Tenant,
    channel: Channel | None = None,
    state: State = "active",
) -> StreamingResponse:
    """The list of a tenant as CSV, which `import` takes again. Who sees more than one tenant names
    it: a line does not say whose it is."""
    shown = await known_tenant(context, principal, tenant)
    now = context.clock.now()
    async with context.engine.begin() as connection:
        detail = {"channel": channel, "state": state}
        await writes.audit(
            connection, principal, "suppression.export", shown, HTTPStatus.OK, detail, now
        )

    async def told() -> AsyncIterator[str]:
        yield files.header()
        piece: list[str] = []
        async with context.engine.connect() as connection:
            async for row in store.every(connection, tenant=shown, channel=channel, state=state):
                piece.append(files.line(row))
                if len(piece) == PIECE_LINES:
                    yield "".join(piece)
                    piece = []
        yield "".join(piece)

    name = f"suppressions-{shown}-{now:%Y-%m-%d}.csv"
    return StreamingResponse(told(), media_type=CSV, headers=_as_file(name))


def _as_file(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}


async def _row_of(context: Context, principal: Principal, import_id: str) -> dict[str, Any]:
    """Raises Problem 404, also where it is another tenant's."""
    async with context.engine.connect() as connection:
        row = await store.one_import(connection, import_id)
    if row is None or principal.tenant_id not in (None, row["tenant_id"]):
        raise Problem(HTTPStatus.NOT_FOUND, f"There is no import {import_id}.")
    return row


def view(row: dict[str, Any]) -> dict[str, Any]:
    """An import as the API shows it."""
    return {
        "id": row["import_id"],
        "tenant_id": row["tenant_id"],
        "file": row["file"],
        "at": row["begun_at"],
        "by": row["begun_by"],
        "rows": row["rows"],
        "new": row["accepted"],
        "told": row["told"],
        "refused": row["refused"],
        "state": "running" if row["ended_at"] is None else "done",
        "ended_at": row["ended_at"],
    }
