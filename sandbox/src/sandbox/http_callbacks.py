"""POST /callbacks: report on a send, as its provider would."""

from __future__ import annotations

import asyncio
import secrets
import urllib.error
import urllib.request
from collections.abc import Callable
from datetime import datetime

from starlette.types import Receive, Scope, Send

from sandbox.callbacks import Report, report_on
from sandbox.errors import Malformed
from sandbox.exchange import answer, read_body
from sandbox.state import State
from sandbox.wire import as_text, parse_object

PATIENCE_SECONDS = 10.0
# No proxy: who is told is on this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


class CallbackRoutes:
    """Nothing is reported unless somebody asks for it."""

    def __init__(self, state: State, now: Callable[[], datetime]) -> None:
        self._state = state
        self._now = now

    async def report(self, scope: Scope, receive: Receive, send: Send) -> None:
        """{"id" of an entry of /accepted, "event", "secret", "url"?, "details"?, "event_id"?}.

        Answers {"event_id", "status"}, the status of who was told; 0 where nobody answers. The
        same `event_id` again is the same report, as a provider would repeat it.
        """
        asked = parse_object(await read_body(receive))
        entry = self._state.providers.find(as_text(asked.get("id"), "`id`"))
        event_id = as_text(asked.get("event_id", f"msg_{secrets.token_hex(12)}"), "`event_id`")
        report = report_on(entry, asked, event_id, self._now())
        if not report.url.startswith(("http://", "https://")):
            raise Malformed("`url` must begin with http:// or https://")
        status = await asyncio.to_thread(post, report)
        await answer(send, {"event_id": event_id, "status": status})


def post(report: Report) -> int:
    """The status of who was told; 0 where nobody answers."""
    request = urllib.request.Request(  # noqa: S310 - http or https
        report.url, data=report.body, headers=dict(report.headers), method="POST"
    )
    try:
        with _OPENER.open(request, timeout=PATIENCE_SECONDS) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return int(error.code)
    except OSError:
        return 0
