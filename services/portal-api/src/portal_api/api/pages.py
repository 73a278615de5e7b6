"""The pages of the staff: sign in, and what the bar leads to."""

from __future__ import annotations

from http import HTTPStatus
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from fastapi.templating import Jinja2Templates

from portal_api import editing
from portal_api.api.access import COOKIE, Ctx, principal_of
from portal_api.auth import OPERATORS, SESSION_LENGTH, Principal, Role, sign
from portal_api.context import Context
from portal_api.store import credentials
from portal_api.suppression.rules import BY_HAND, REASONS
from rendering.variables import VARIABLES

FOLDER = Path(__file__).resolve().parent.parent / "pages"
templates = Jinja2Templates(FOLDER / "templates")
router = APIRouter(include_in_schema=False)


@router.get("/")
async def home() -> Response:
    return RedirectResponse("/sequences", HTTPStatus.SEE_OTHER)


@router.get("/login")
async def login_page(request: Request, context: Ctx, ticket: str | None = None) -> Response:
    """The sign-in form; with a ticket, straight in."""
    if ticket is not None:
        async with context.engine.begin() as connection:
            principal = await credentials.use_ticket(connection, ticket, context.clock.now())
        if principal is None:
            return _sign_in(
                request, "That link was used already, or is too old. Ask for a new one."
            )
        return await _start_session(context, principal, request)
    principal = await principal_of(request)
    if principal is not None and principal.role is not Role.CLIENT:
        return RedirectResponse("/sequences", HTTPStatus.SEE_OTHER)
    return _sign_in(request)


@router.post("/login")
async def login(request: Request, context: Ctx, key: Annotated[str, Form()] = "") -> Response:
    async with context.engine.connect() as connection:
        principal = await credentials.by_key(connection, key.strip(), context.clock.now())
    if principal is None:
        return _sign_in(request, "That key is not known here. Check that all of it was copied.")
    if principal.role is Role.CLIENT:
        return _sign_in(request, "This key is for clients: it opens /api/v1/client/summaries.")
    return await _start_session(context, principal, request)


@router.post("/logout")
async def logout(request: Request, context: Ctx) -> Response:
    principal = await principal_of(request)
    if principal is not None:
        async with context.engine.begin() as connection:
            await credentials.end_session(connection, principal.credential_id, context.clock.now())
    response = JSONResponse({})
    response.delete_cookie(COOKIE)
    return response


@router.get("/sequences")
@router.get("/sequences/{sequence_id}")
async def sequences_page(request: Request, sequence_id: str | None = None) -> Response:
    return await _page(request, "sequences.html", events=editing.EVENTS, variables=VARIABLES)


@router.get("/incidents")
@router.get("/incidents/{incident_id}")
async def incidents_page(request: Request, incident_id: str | None = None) -> Response:
    return await _page(request, "incidents.html")


@router.get("/doubts")
@router.get("/doubts/{message_id}")
async def doubts_page(request: Request, message_id: str | None = None) -> Response:
    return await _page(request, "doubts.html")


@router.get("/bulk")
@router.get("/bulk/{bulk_id}")
async def bulk_page(request: Request, bulk_id: str | None = None) -> Response:
    return await _page(request, "bulk.html")


@router.get("/sync")
async def sync_page(request: Request) -> Response:
    return await _page(request, "sync.html")


@router.get("/dead-letters")
@router.get("/dead-letters/{group:path}")
async def dead_letters_page(request: Request, group: str | None = None) -> Response:
    return await _page(request, "dead-letters.html", operators_only=True)


@router.get("/suppression")
async def suppression_page(request: Request) -> Response:
    """For who may keep lists: they are full of addresses."""
    return await _page(
        request, "suppression.html", operators_only=True, reasons=REASONS, by_hand=BY_HAND
    )


async def _page(
    request: Request, template: str, *, operators_only: bool = False, **settings: Any
) -> Response:
    """A page for staff, with what its scripts have to know; others are sent to sign in."""
    principal = await principal_of(request)
    if principal is None or principal.role is Role.CLIENT:
        return RedirectResponse("/login", HTTPStatus.SEE_OTHER)
    if operators_only and principal.role not in OPERATORS:
        return RedirectResponse("/sequences", HTTPStatus.SEE_OTHER)
    return templates.TemplateResponse(
        request,
        template,
        {
            "principal": principal,
            "settings": {
                "role": principal.role.value,
                "subject": principal.subject,
                "tenant": principal.tenant_id,
                **settings,
            },
        },
    )


def _sign_in(request: Request, wrong: str = "") -> HTMLResponse:
    status = HTTPStatus.UNAUTHORIZED if wrong else HTTPStatus.OK
    return templates.TemplateResponse(request, "login.html", {"wrong": wrong}, status)


async def _start_session(context: Context, principal: Principal, request: Request) -> Response:
    if principal.role is Role.CLIENT:
        return _sign_in(request, "There is no page for clients yet: use /api/v1/client/summaries.")
    async with context.engine.begin() as connection:
        session = await credentials.create_session(
            connection, principal, context.clock.now(), SESSION_LENGTH
        )
    response = RedirectResponse("/sequences", HTTPStatus.SEE_OTHER)
    response.set_cookie(
        COOKIE,
        sign(context.secret, session),
        max_age=int(SESSION_LENGTH.total_seconds()),
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
    )
    return response
