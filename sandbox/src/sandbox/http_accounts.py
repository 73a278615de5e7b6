"""/accounts: what the CRMs that are played by name hold, and how they behave.

Rules never hit these, and no quota counts them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from starlette.types import Receive, Scope, Send

from sandbox.crm_accounts import Account, Change, Record
from sandbox.crm_notices import of_record, read_webhook
from sandbox.errors import Malformed, Unknown
from sandbox.exchange import answer, page_bounds, query, read_body
from sandbox.http_callbacks import post
from sandbox.http_providers import MAX_PAGE
from sandbox.state import State
from sandbox.wire import as_object, as_text, parse_object


class AccountRoutes:
    """The endpoints that look into accounts and set them up."""

    def __init__(self, state: State, now: Callable[[], datetime]) -> None:
        self._state = state
        self._now = now

    async def show(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /accounts/{provider}/{account}"""
        await answer(send, _shown(self._account(scope)))

    async def set_up(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /accounts/{provider}/{account}: {"revoked"?, "limits"?, "without"?, "webhook"?}

        `webhook`: {"url", "secret"} of who is told of what people change, or null.
        """
        wanted = parse_object(await read_body(receive))
        if unknown := sorted(wanted.keys() - {"revoked", "limits", "without", "webhook"}):
            raise Malformed(f"an account has no {', '.join(unknown)}")
        account = self._account(scope)
        limits = as_object(wanted.get("limits", {}), "`limits`")
        if not all(isinstance(number, int) and number >= 0 for number in limits.values()):
            raise Malformed("`limits` must be whole numbers of calls")
        account.quota.limits.update(limits)
        account.revoked = bool(wanted.get("revoked", account.revoked))
        account.without = set(wanted.get("without", account.without))
        if "webhook" in wanted:
            params = scope["path_params"]
            named, webhook = (params["provider"], params["account"]), wanted["webhook"]
            self._state.webhooks.pop(named, None)
            if (told := read_webhook(webhook)) is not None:
                self._state.webhooks[named] = told
        await answer(send, _shown(account))

    async def list_records(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /accounts/{provider}/{account}/{kind}?offset=&limit=; of each its history too"""
        offset, limit = page_bounds(query(scope), MAX_PAGE)
        records = self._account(scope).all(scope["path_params"]["kind"])
        items = [_record(record) for record in records[offset : offset + limit]]
        await answer(send, {"total": len(records), "items": items})

    async def duplicates(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /accounts/{provider}/{account}/{kind}/duplicates?by=: values that several have."""
        by = as_text(query(scope).get("by"), "`by`")
        found: dict[str, list[str]] = {}
        for record in self._account(scope).all(scope["path_params"]["kind"]):
            if value := record.values.get(by):
                found.setdefault(str(value), []).append(record.id)
        items = [{"value": value, "ids": ids} for value, ids in found.items() if len(ids) > 1]
        await answer(send, {"total": len(items), "items": items})

    async def edit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """PUT /accounts/{provider}/{account}/{kind}/{id}: values as a person would set them."""
        values = parse_object(await read_body(receive))
        account, record = self._account(scope), self._found(scope)
        account.write(record, values, self._now(), by="person")
        told = await self._tell(scope, record, record.history[-1])
        await answer(send, {**_record(record), "told": told})

    async def tell(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /accounts/{provider}/{account}/{kind}/{id}/notices: {"seq"?}: tell of that change
        of the history, or of the last, whoever made it."""
        record = self._found(scope)
        asked = parse_object(await read_body(receive)).get("seq", record.history[-1].seq)
        change = next((each for each in record.history if each.seq == asked), None)
        if change is None:
            raise Unknown(f"the record has no change {asked!r}")
        await answer(send, {"told": await self._tell(scope, record, change)})

    async def _tell(self, scope: Scope, record: Record, change: Change) -> int | None:
        """The status of who was told; 0 where nobody answers, None where nobody is told."""
        params = scope["path_params"]
        webhook = self._state.webhooks.get((params["provider"], params["account"]))
        if webhook is None:
            return None
        report = of_record(params["provider"], record, change, webhook, self._now())
        return None if report is None else await asyncio.to_thread(post, report)

    def _found(self, scope: Scope) -> Record:
        params = scope["path_params"]
        record = self._account(scope).get(params["kind"], params["id"])
        if record is None:
            raise Unknown(f"there is no {params['id']!r} among {params['kind']}")
        return record

    def _account(self, scope: Scope) -> Account:
        params: Mapping[str, str] = scope["path_params"]
        return self._state.accounts.account(params["provider"], params["account"])


def _shown(account: Account) -> dict[str, Any]:
    return {
        "records": account.counts(),
        "writes": account.writes,
        "calls": account.calls,
        "limits": account.quota.limits,
        "revoked": account.revoked,
        "without": sorted(account.without),
    }


def _record(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "values": record.values,
        "links": sorted(record.links),
        "history": [
            {"seq": change.seq, "by": change.by, "values": change.values, "at": change.at}
            for change in record.history
        ],
    }
