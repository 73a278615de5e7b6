"""Who may call a route: by API key, or by the session of the pages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection
from http import HTTPStatus
from typing import Annotated

from fastapi import Depends, Request

from portal_api.auth import OPERATORS, REVIEWERS, STAFF, Principal, Role, bearer, signed
from portal_api.context import Context
from portal_api.problems import Problem
from portal_api.store import credentials

COOKIE = "leadflow_session"
SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
# A page of another site can make a browser send our cookie, but not this header.
PAGE_HEADER = "x-leadflow"


def context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


async def principal_of(request: Request) -> Principal | None:
    """Who asks, or None. A cookie counts for a write only if our own page sent it."""
    context = context_of(request)
    now = context.clock.now()
    if (key := bearer(request.headers.get("authorization"))) is not None:
        async with context.engine.connect() as connection:
            return await credentials.by_key(connection, key, now)
    session = signed(context.secret, request.cookies.get(COOKIE))
    if session is None:
        return None
    if request.method not in SAFE_METHODS and PAGE_HEADER not in request.headers:
        return None
    async with context.engine.connect() as connection:
        return await credentials.by_session(connection, session, now)


def allow(roles: Collection[Role]) -> Callable[[Request], Awaitable[Principal]]:
    """A dependency that gives the principal, if it has one of `roles`."""

    async def check(request: Request) -> Principal:
        principal = await principal_of(request)
        if principal is None:
            raise Problem(
                HTTPStatus.UNAUTHORIZED,
                "Send an API key as `Authorization: Bearer lf_…`; `leadflow token` makes one.",
            )
        if principal.role not in roles:
            raise Problem(HTTPStatus.FORBIDDEN, f"The role {principal.role} may not do this.")
        return principal

    return check


def tenant_of(principal: Principal, wanted: str | None) -> str | None:
    """The tenant to show, None for all. Raises Problem 403 where it is somebody else's."""
    try:
        return principal.tenant(wanted)
    except PermissionError as error:
        raise Problem(HTTPStatus.FORBIDDEN, str(error)) from None


def own_leads_of(principal: Principal) -> str | None:
    """The owner whose leads a principal is limited to; None sees everybody's."""
    return principal.subject if principal.role is Role.REP else None


Ctx = Annotated[Context, Depends(context_of)]
Staff = Annotated[Principal, Depends(allow(STAFF))]
Operator = Annotated[Principal, Depends(allow(OPERATORS))]
Enroller = Annotated[Principal, Depends(allow(OPERATORS | {Role.REP}))]
Reviewer = Annotated[Principal, Depends(allow(REVIEWERS))]
Client = Annotated[Principal, Depends(allow({Role.CLIENT}))]
