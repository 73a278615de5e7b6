"""The application: routers, errors, headers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import FastAPI, Request
from fastapi.responses import Response
from fastapi.staticfiles import StaticFiles

from leadflow.health import answer
from portal_api import problems
from portal_api.api import (
    bulk,
    client,
    crm_changes,
    crm_webhooks,
    dead_letters,
    doubts,
    enrollments,
    events,
    inbound,
    incidents,
    leads,
    messages,
    pages,
    pipeline,
    provider_webhooks,
    sequences,
    steps,
    summaries,
    suppression_files,
    suppressions,
    sync,
    templates,
    tracking,
    unsubscribe,
    webhooks,
    why,
)
from portal_api.context import Context

# Everything a page needs comes from here; nothing may frame it.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; font-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}
# The API's own documentation brings scripts of its own; it is served as JSON only.
API = "/api/v1"


def make_app(context: Context) -> FastAPI:
    app = FastAPI(
        title="leadflow portal",
        version="1",
        openapi_url=f"{API}/openapi.json",
        docs_url=None,
        redoc_url=None,
    )
    app.state.context = context
    problems.install(app)
    # /sequences/stats before /sequences/{id}: the router of the fixed paths comes first.
    for router in (
        bulk.router,
        sequences.router,
        steps.router,
        enrollments.router,
        messages.router,
        doubts.router,
        dead_letters.router,
        leads.router,
        why.router,
        summaries.router,
        incidents.router,
        suppression_files.router,
        suppressions.router,
        sync.router,
        crm_changes.router,
        templates.router,
        client.router,
        pipeline.router,
        webhooks.router,
        events.router,
    ):
        app.include_router(router, prefix=API)
    app.include_router(inbound.router)
    app.include_router(provider_webhooks.router())
    app.include_router(crm_webhooks.router())
    app.include_router(pages.router)
    app.include_router(tracking.router)
    app.include_router(unsubscribe.router)
    app.mount("/static", StaticFiles(directory=pages.FOLDER / "static"), name="static")

    @app.get("/healthz", include_in_schema=False)
    @app.get("/readyz", include_in_schema=False)
    @app.get("/metrics", include_in_schema=False)
    async def health(request: Request) -> Response:
        status, content_type, body = answer(request.url.path, context.health)
        return Response(body, status, media_type=content_type)

    @app.middleware("http")
    async def headers(
        request: Request, call_next: Callable[[Request], Awaitable[Response]]
    ) -> Response:
        response = await call_next(request)
        for name, value in HEADERS.items():
            response.headers.setdefault(name, value)
        if request.url.path.startswith(API):
            response.headers.setdefault("Cache-Control", "no-store")
        return response

    return app
