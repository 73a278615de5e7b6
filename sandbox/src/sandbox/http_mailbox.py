"""GET /mailbox, one mail of it, and the one click of a mail client."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from http.client import HTTPMessage
from typing import IO

from starlette.types import Receive, Scope, Send

from sandbox import mailbox
from sandbox.errors import Unknown
from sandbox.exchange import page_bounds, query
from sandbox.mailbox import Mail
from sandbox.state import State

PAGE = 100
PATIENCE_SECONDS = 10.0


class MailboxRoutes:
    """What was accepted as e-mail, over SMTP or over an API, the newest first."""

    def __init__(self, state: State) -> None:
        self._state = state

    async def list_mails(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /mailbox?limit="""
        _, limit = page_bounds(query(scope), 1_000)
        providers = self._state.providers
        entries = []
        total = 0
        for channel in mailbox.MAIL_CHANNELS:
            number, _ = providers.page(channel, None, 0, 0)
            total += number
            entries += providers.page(channel, None, max(0, number - limit), limit)[1]
        entries.sort(key=lambda entry: entry.seq, reverse=True)
        mails = [mailbox.mail_of(entry) for entry in entries[:limit]]
        await _show(send, mailbox.listing(mails, total))

    async def show(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /mailbox/{id}"""
        await _show(send, mailbox.one(self._mail(scope)))

    async def unsubscribe(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /mailbox/{id}/unsubscribe: posts as RFC 8058 has a mail client post.

        A real one also wants a DKIM signature over both headers (RFC 8058, 4), which nobody
        makes here.
        """
        mail = self._mail(scope)
        if mail.one_click is None:
            raise Unknown("this mail offers no unsubscribing in one click")
        status = await asyncio.to_thread(_post, mail.one_click)
        # RFC 8058, 3.1: no redirect. What is no 2xx has not worked.
        good = 200 <= status < 300
        told = f"Unsubscribed: the sender answered {status}." if good else _failed(status)
        await _show(send, mailbox.one(mail, told, bad=not good), 200 if good else 502)

    def _mail(self, scope: Scope) -> Mail:
        entry = self._state.providers.find(scope["path_params"]["id"])
        if entry.channel not in mailbox.MAIL_CHANNELS:
            raise Unknown("this is no e-mail")
        return mailbox.mail_of(entry)


def _failed(status: int) -> str:
    answered = f"the sender answered {status}" if status else "the sender does not answer"
    return f"That did not work: {answered}."


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> None:
        return None


# No proxy: what a mail in the sandbox points to is on this machine.
_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def _post(url: str) -> int:
    """The status of the answer, 0 for none. Without cookies, as RFC 8058, 3.1 has it."""
    request = urllib.request.Request(  # noqa: S310
        url,
        data=mailbox.ONE_CLICK.encode(),
        headers={"Content-Type": "application/x-www-form-urlencoded"},
        method="POST",
    )
    try:
        with _OPENER.open(request, timeout=PATIENCE_SECONDS) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return int(error.code)
    except OSError:
        return 0


async def _show(send: Send, html: str, status: int = 200) -> None:
    body = html.encode()
    headers = [
        (b"content-type", b"text/html; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"content-security-policy", mailbox.POLICY.encode()),
        (b"referrer-policy", b"no-referrer"),
        (b"cache-control", b"no-store"),
        (b"x-content-type-options", b"nosniff"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
