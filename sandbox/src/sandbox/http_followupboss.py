"""/followupboss/v1: Follow Up Boss' API as far as leadflow uses it.

https://docs.followupboss.com/reference. The account is named by the API key, `fka_NAME`.
"""

from __future__ import annotations

import binascii
import re
from base64 import b64decode
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from starlette.types import Receive, Scope, Send

from sandbox.crm_accounts import Account, OverQuota, Record
from sandbox.errors import Injected, Malformed
from sandbox.exchange import RawHeaders, answer, header, page_bounds, query, read_body
from sandbox.fault_rules import RuleSpec
from sandbox.followupboss_rules import (
    CUSTOM_FIELDS,
    LEAD,
    STAGES,
    context,
    digits,
    error,
    over_quota,
    person_wrong,
    refusal,
)
from sandbox.injection import Injector
from sandbox.state import State
from sandbox.wire import parse_object

KEY = re.compile(r"fka_([a-z0-9-]{1,64}):.*")
PAGE = 100


class FollowUpBossRoutes:
    """The endpoints. Rules hit those that write; quotas count them all."""

    def __init__(self, state: State, injector: Injector, now: Callable[[], datetime]) -> None:
        self._state = state
        self._injector = injector
        self._now = now

    async def search_people(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /people?email= or phone= or a custom field, &includeTrash=&includeUnclaimed="""
        account = self._enter(scope, "people")
        asked = query(scope)
        form = {"email": str.lower, "phone": digits}
        found: list[Record] | None = None
        for name, value in asked.items():
            if name in form or name.startswith("custom"):
                named = account.find("people", name, form.get(name, str)(value))
                found = named if found is None else [each for each in found if each in named]
        found = account.all("people") if found is None else found
        if asked.get("includeTrash") != "true":
            found = [record for record in found if record.values.get("stage") != "Trash"]
        await self._page(scope, send, account, "people", found)

    async def show_person(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /people/{id}"""
        account = self._enter(scope, "people")
        await self._answer(scope, send, account, _shown(self._person(account, scope)))

    async def update_person(self, scope: Scope, receive: Receive, send: Send) -> None:
        """PUT /people/{id}: fields that are named are replaced, lists as a whole."""
        account, values = self._enter(scope, "people"), await _body(receive)
        record = self._person(account, scope)
        spec = await self._before({**record.values, **values})
        self._write(account, record, values)
        self._injector.after(spec)
        await self._answer(scope, send, account, _shown(record))

    async def create_person(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /people: a new person, even if there is one with the same address."""
        account, values = self._enter(scope, "people"), await _body(receive)
        spec = await self._before(values)
        record = self._make(account, values)
        self._injector.after(spec)
        await self._answer(scope, send, account, _shown(record), 201)

    async def event(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /events: the person is found by address, else by number, else made."""
        account, event = self._enter(scope, "events"), await _body(receive)
        values = event.get("person")
        if not isinstance(values, dict) or not event.get("source"):
            raise error(400, "An event has a source and a person.")
        spec = await self._before(values)
        there = _same(account, values)
        if there is None:
            record = self._make(account, {**values, "source": event["source"]})
        else:
            record = there
            self._write(account, record, _merged(record, values))
        now = self._now()
        account.create("events", {**event, "personId": record.id}, now)
        self._injector.after(spec)
        await self._answer(scope, send, account, _shown(record), 201 if there is None else 200)

    async def list_of_person(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /{notes,tasks}?personId=&limit=&offset="""
        kind = _kind(scope)
        account = self._enter(scope, kind)
        found = account.find(kind, "personId", query(scope).get("personId", ""))
        await self._page(scope, send, account, kind, found)

    async def add_to_person(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /{notes,tasks}: {"personId", "body" or "name", ...}; each call makes one."""
        kind = _kind(scope)
        account, values = self._enter(scope, kind), await _body(receive)
        person = account.get("people", str(values.get("personId")))
        if person is None:
            raise error(404, "The person does not exist.")
        if not values.get("body" if kind == "notes" else "name"):
            raise error(400, f"A field of one of the {kind} is missing.")
        spec = await self._before(person.values)
        record = account.create(kind, values, self._now())
        self._injector.after(spec)
        await self._answer(scope, send, account, _shown(record), 201)

    async def custom_fields(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /customFields?limit=&offset="""
        account = self._enter(scope, "customFields")
        names = [name for name in CUSTOM_FIELDS if name not in account.without]
        offset, limit = page_bounds(query(scope), PAGE)
        page = [
            {"id": number, "name": name, "label": name.removeprefix("custom"), "type": "text"}
            for number, name in enumerate(names, 1)
        ][offset : offset + limit]
        about = {
            "collection": "customfields",
            "offset": offset,
            "limit": limit,
            "total": len(names),
        }
        await self._answer(scope, send, account, {"_metadata": about, "customfields": page})

    async def add_custom_field(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /customFields: {"label", "type"}; its name follows from its label."""
        account, wanted = self._enter(scope, "customFields"), await _body(receive)
        label = wanted.get("label")
        if not isinstance(label, str) or wanted.get("type") not in ("text", "date", "number"):
            raise error(400, "A custom field has a label and a type.")
        name = "custom" + "".join(word[:1].upper() + word[1:] for word in label.split())
        account.without.discard(name)
        shown = {"id": 1, "name": name, "label": label, "type": wanted["type"]}
        await self._answer(scope, send, account, shown, 201)

    async def stages(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /stages"""
        account = self._enter(scope, "stages")
        named = [{"id": number, "name": name} for number, name in enumerate(STAGES, 1)]
        await self._answer(scope, send, account, {"stages": named})

    def _enter(self, scope: Scope, path: str) -> Account:
        named = KEY.fullmatch(_basic(header(scope, b"authorization") or ""))
        account = self._state.accounts.account("followupboss", named[1]) if named else None
        if account is None or account.revoked:
            raise error(401, "Invalid API key.")
        account.calls += 1
        limit, now = context(scope["method"], path), self._now()
        try:
            account.quota.use(limit, now)
        except OverQuota as over:
            raise over_quota(over, _limits(account, limit, now)) from over
        return account

    def _person(self, account: Account, scope: Scope) -> Record:
        record = account.get("people", scope["path_params"]["id"])
        if record is None:
            raise error(404, "The person does not exist.")
        return record

    def _make(self, account: Account, values: Mapping[str, Any]) -> Record:
        if wrong := person_wrong(values, account.without):
            raise wrong
        return account.create("people", {"stage": STAGES[0], **values}, self._now())

    def _write(self, account: Account, record: Record, values: Mapping[str, Any]) -> None:
        if wrong := person_wrong(values, account.without):
            raise wrong
        account.write(record, values, self._now())

    async def _before(self, person: Mapping[str, Any]) -> RuleSpec | None:
        names = [str(person.get(LEAD) or "")]
        names += [str(each.get("value")) for each in person.get("emails") or ()]
        spec = self._state.faults.pick("followupboss", names)
        try:
            await self._injector.before(spec)
        except Injected as fault:
            raise refusal(fault) from fault
        return spec

    async def _page(
        self, scope: Scope, send: Send, account: Account, kind: str, found: list[Record]
    ) -> None:
        offset, limit = page_bounds(query(scope), PAGE)
        page = [_shown(record) for record in found[offset : offset + limit]]
        about = {"collection": kind, "offset": offset, "limit": limit, "total": len(found)}
        await self._answer(scope, send, account, {"_metadata": about, kind: page})

    async def _answer(
        self, scope: Scope, send: Send, account: Account, value: Any, status: int = 200
    ) -> None:
        path = scope["path"].split("/")[3]
        limits = _limits(account, context(scope["method"], path), self._now())
        headers: RawHeaders = [(name.encode(), text.encode()) for name, text in limits.items()]
        await answer(send, value, status, headers)


def _kind(scope: Scope) -> str:
    kind: str = scope["path_params"]["kind"]
    if kind not in ("notes", "tasks"):
        raise error(404, "The endpoint does not exist.")
    return kind


def _limits(account: Account, limit: str, now: datetime) -> dict[str, str]:
    return {
        "x-ratelimit-limit": str(account.quota.limits[limit]),
        "x-ratelimit-remaining": str(account.quota.left(limit, now)),
        "x-ratelimit-window": "10",
        "x-ratelimit-context": limit,
    }


def _basic(authorization: str) -> str:
    try:
        return b64decode(authorization.removeprefix("Basic ")).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


async def _body(receive: Receive) -> dict[str, Any]:
    try:
        return parse_object(await read_body(receive))
    except Malformed as malformed:
        raise error(400, malformed.detail) from malformed


def _same(account: Account, values: Mapping[str, Any]) -> Record | None:
    """The person whom an event is about: by address, else by number."""
    for name, entries, form in (("email", "emails", str.lower), ("phone", "phones", digits)):
        for each in values.get(entries) or ():
            for record in account.find("people", name, form(str(each.get("value")))):
                return record
    return None


def _merged(record: Record, values: Mapping[str, Any]) -> dict[str, Any]:
    """What an event changes of a person who is there: addresses and numbers are added, what an
    agent decides stays."""
    changes = {n: v for n, v in values.items() if n not in ("stage", "source", "assignedUserId")}
    for name in ("emails", "phones"):
        present = list(record.values.get(name) or ())
        known = {str(each.get("value")).lower() for each in present}
        new = [e for e in values.get(name) or () if str(e.get("value")).lower() not in known]
        if name in values:
            changes[name] = present + new
    return changes


def _shown(record: Record) -> dict[str, Any]:
    return {
        "id": int(record.id),
        "created": record.created_at,
        "updated": record.history[-1].at,
        **record.values,
    }
