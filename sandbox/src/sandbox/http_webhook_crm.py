"""POST /webhook-crm/{account}: a receiver of signed webhooks that keeps contacts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from starlette.types import Receive, Scope, Send

from sandbox.crm_accounts import Account
from sandbox.errors import Malformed, Unknown
from sandbox.exchange import REPLAYED, answer, read_body
from sandbox.http_webhook import NotSigned, verified
from sandbox.injection import Injector
from sandbox.state import State
from sandbox.wire import as_object, as_text, parse_object

KINDS = {"contact.upserted": "contacts", "note.added": "notes", "task.added": "tasks"}


class WebhookCrmRoutes:
    """The receiving endpoint."""

    def __init__(self, state: State, injector: Injector, now: Callable[[], datetime]) -> None:
        self._state = state
        self._injector = injector
        self._now = now

    async def receive(self, scope: Scope, receive: Receive, send: Send) -> None:
        """{"type", "data"}; a contact is replaced, the same webhook-id is taken once."""
        body = await read_body(receive)
        account = self._state.accounts.account("webhook", scope["path_params"]["account"])
        account.calls += 1
        webhook_id = verified(scope, body, self._now())
        if account.revoked:
            raise NotSigned("the secret was taken away")
        given = parse_object(body)
        kind = as_text(given.get("type"), "`type`")
        data = as_object(given.get("data"), "`data`")
        spec = self._state.faults.pick("webhook-crm", [str(data.get("external_id", ""))])
        await self._injector.before(spec)
        known = webhook_id in account.seen
        if not known and kind != "ping":
            self._take(account, kind, data)
        account.seen.add(webhook_id)
        self._injector.after(spec)
        await answer(send, {}, headers=REPLAYED if known else ())

    def _take(self, account: Account, kind: str, data: dict[str, Any]) -> None:
        if kind not in KINDS:
            raise Malformed(f"there is no type {kind!r}")
        external_id = as_text(data.get("external_id"), "`external_id`")
        there = account.find("contacts", "external_id", external_id)
        if kind != "contact.upserted":
            if not there:
                raise Unknown(f"there is no contact {external_id!r}")
            account.create(KINDS[kind], data, self._now())
        elif there:
            account.write(there[0], data, self._now())
        else:
            account.create("contacts", data, self._now())
