"""/c/{token} and /o/{token}.gif: a link that was followed, a message that was opened.

Both answer at once, whatever becomes of the note that is taken. A link leads to the address that
is sealed in it, and nowhere else.
"""

from __future__ import annotations

from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import RedirectResponse, Response

from leadflow.tokens import BadToken
from portal_api.api.access import Ctx
from portal_api.api.pages import templates
from portal_api.context import Context
from portal_api.sightings import sighting
from rendering.links import web_address

router = APIRouter(include_in_schema=False)

# One transparent pixel, in 43 bytes.
GIF = (
    b"GIF89a\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff!\xf9\x04\x01\x00\x00\x00\x00,"
    b"\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x02D\x01\x00;"
)
UNSEEN = {"Cache-Control": "no-store, max-age=0", "X-Robots-Tag": "noindex"}


@router.api_route("/c/{token}", methods=["GET", "HEAD"])
async def click(request: Request, context: Ctx, token: str) -> Response:
    """On to the address in the token; the site there is not told where the reader came from."""
    try:
        tenant_id, message_id, url = context.links.open("click", token)
    except (BadToken, ValueError):
        tenant_id = message_id = url = ""
    if web_address(url) is None:
        return templates.TemplateResponse(
            request, "link.html", {}, HTTPStatus.NOT_FOUND, headers=UNSEEN
        )
    _note(context, request, "clicked", tenant_id, message_id, url)
    return RedirectResponse(url, HTTPStatus.FOUND, headers=UNSEEN)


@router.api_route("/o/{token}.gif", methods=["GET", "HEAD"])
async def opened(request: Request, context: Ctx, token: str) -> Response:
    """A picture of one pixel that no cache keeps."""
    status = HTTPStatus.OK
    try:
        tenant_id, message_id = context.links.open("open", token)
    except (BadToken, ValueError):
        status = HTTPStatus.NOT_FOUND
    else:
        _note(context, request, "opened", tenant_id, message_id, "")
    return Response(GIF, status, media_type="image/gif", headers=UNSEEN)


def _note(
    context: Context, request: Request, kind: str, tenant_id: str, message_id: str, url: str
) -> None:
    if request.method == "HEAD":
        return  # nobody saw anything
    context.sightings.note(
        sighting(
            kind,
            tenant_id=tenant_id,
            message_id=message_id,
            url=url,
            user_agent=request.headers.get("user-agent", ""),
            ip=request.client.host if request.client else "",
            now=context.clock.now(),
        )
    )
