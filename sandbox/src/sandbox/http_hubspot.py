"""/hubspot: HubSpot's CRM API as far as leadflow uses it.

https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide and the specifications in
HubSpot's public-api-spec-collection. The account is named by the token, `pat-na1-NAME`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from starlette.types import Receive, Scope, Send

from sandbox.crm_accounts import Account, OverQuota, Record
from sandbox.errors import Injected, Malformed, Shaped
from sandbox.exchange import RawHeaders, answer, header, read_body
from sandbox.fault_rules import RuleSpec
from sandbox.hubspot_rules import (
    Wrong,
    conflict,
    is_known,
    item_error,
    key_of,
    over_quota,
    problem,
    refusal,
    values_wrong,
)
from sandbox.injection import Injector
from sandbox.state import State
from sandbox.wire import MAX_BATCH, as_object, parse_object

TOKEN = re.compile(r"Bearer pat-na1-([a-z0-9-]{1,64})")
KINDS = ("contacts", "deals", "notes", "tasks")


class HubSpotRoutes:
    """The endpoints. Rules hit those that write; quotas count them all."""

    def __init__(self, state: State, injector: Injector, now: Callable[[], datetime]) -> None:
        self._state = state
        self._injector = injector
        self._now = now

    async def batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /hubspot/crm/v3/objects/{kind}/batch/{read,update,upsert}"""
        account = self._enter(scope)
        kind, verb = _kind(scope, "kind"), scope["path_params"]["verb"]
        body = await _body(receive)
        inputs = body.get("inputs")
        if not isinstance(inputs, list) or not 1 <= len(inputs) <= MAX_BATCH:
            raise problem(400, "VALIDATION_ERROR", f"A batch has 1 to {MAX_BATCH} inputs.")
        if verb == "read":
            results, errors = _read(account, kind, body, inputs)
            specs: list[RuleSpec | None] = []
        else:
            write = {"update": self._update, "upsert": self._upsert}.get(verb)
            if write is None:
                raise problem(404, "OBJECT_NOT_FOUND", "There is no such batch.")
            results, errors, specs = await self._write(account, kind, inputs, write)
        for spec in specs:
            self._injector.after(spec)
        now = self._now()
        found = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        if errors:
            found |= {"numErrors": len(errors), "errors": errors}
        await self._answer(send, account, found, 207 if errors else 200)

    async def _write(
        self,
        account: Account,
        kind: str,
        inputs: list[Any],
        write: Callable[[Account, str, Mapping[str, Any]], tuple[Record, bool]],
    ) -> tuple[list[Any], list[Any], list[RuleSpec | None]]:
        whole = self._state.faults.pick_batch("hubspot")
        await self._before(whole)
        specs, results, errors = [whole], [], []
        for each in inputs:
            wanted = as_object(each, "an input")
            trace = wanted.get("objectWriteTraceId")
            try:
                if whole is None:
                    spec = self._state.faults.pick_item("hubspot", _names(wanted))
                    await self._before(spec)
                    specs.append(spec)
                record, new = write(account, kind, wanted)
            except Shaped as wrong:
                if trace is None:
                    # Statuses of their own have only inputs that can be told apart.
                    raise
                errors.append(item_error(wrong, str(trace)))
            else:
                results.append({**_shown(record), "new": new, "objectWriteTraceId": trace})
        return results, errors, specs

    def _upsert(
        self, account: Account, kind: str, wanted: Mapping[str, Any]
    ) -> tuple[Record, bool]:
        name, value = str(wanted.get("idProperty")), str(wanted.get("id"))
        if name not in key_of(kind):
            raise problem(400, "VALIDATION_ERROR", f"Property {name} has no unique values.")
        values = {**_properties(account, kind, wanted), name: value}
        there = account.find(kind, name, value)
        _refuse_taken(account, kind, values, there[0] if there else None)
        if there:
            account.write(there[0], values, self._now())
            return there[0], False
        return account.create(kind, values, self._now()), True

    def _update(
        self, account: Account, kind: str, wanted: Mapping[str, Any]
    ) -> tuple[Record, bool]:
        record = account.get(kind, str(wanted.get("id")))
        if record is None:
            raise problem(404, "OBJECT_NOT_FOUND", "The object does not exist.")
        values = _properties(account, kind, wanted)
        _refuse_taken(account, kind, values, record)
        account.write(record, values, self._now())
        return record, False

    async def associate(self, scope: Scope, receive: Receive, send: Send) -> None:
        """PUT /hubspot/crm/v4/objects/{kind}/{id}/associations/default/{to}/{to_id}"""
        account, params = self._enter(scope), scope["path_params"]
        spec = self._state.faults.pick("hubspot", [params["id"]])
        await self._before(spec)
        kind, to = _kind(scope, "kind"), _kind(scope, "to")
        linked = _link(account, kind, params["id"], to, params["to_id"])
        self._injector.after(spec)
        await self._answer(send, account, {"status": "COMPLETE", "results": linked})

    async def associate_batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /hubspot/crm/v4/associations/{kind}/{to}/batch/associate/default"""
        account = self._enter(scope)
        inputs = (await _body(receive)).get("inputs")
        if not isinstance(inputs, list):
            raise problem(400, "VALIDATION_ERROR", "inputs is missing.")
        spec = self._state.faults.pick_batch("hubspot")
        await self._before(spec)
        kind, to = _kind(scope, "kind"), _kind(scope, "to")
        results = [
            linked
            for each in inputs
            for linked in _link(account, kind, each["from"]["id"], to, each["to"]["id"])
        ]
        self._injector.after(spec)
        await self._answer(send, account, {"status": "COMPLETE", "results": results})

    async def properties(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /hubspot/crm/v3/properties/{kind}/batch/{create,read}"""
        account, kind = self._enter(scope), _kind(scope, "kind")
        names = [str(each.get("name")) for each in (await _body(receive)).get("inputs") or ()]
        if scope["path_params"]["verb"] == "create":
            account.without -= set(names)
        there = [name for name in names if is_known(kind, name, account.without)]
        results = [
            {
                "name": name,
                "type": "string",
                "fieldType": "text",
                "hasUniqueValue": name in key_of(kind),
            }
            for name in there
        ]
        now = self._now()
        found = {"status": "COMPLETE", "results": results, "startedAt": now, "completedAt": now}
        if missing := sorted(set(names) - set(there)):
            wrong = Wrong("OBJECT_NOT_FOUND", "Some properties do not exist.")
            found |= {"numErrors": 1, "errors": [wrong.shown({"name": missing})]}
        await self._answer(send, account, found, 207 if missing else 200)

    async def make_group(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /hubspot/crm/v3/properties/{kind}/groups; there is one already the second time."""
        account, name = self._enter(scope), str((await _body(receive)).get("name"))
        group = f"group {_kind(scope, 'kind')} {name}"
        if group in account.seen:
            raise problem(409, "OBJECT_ALREADY_EXISTS", "The property group exists already.")
        account.seen.add(group)
        await self._answer(send, account, {"name": name, "archived": False}, 201)

    def _enter(self, scope: Scope) -> Account:
        named = TOKEN.fullmatch(header(scope, b"authorization") or "")
        account = self._state.accounts.account("hubspot", named[1]) if named else None
        if account is None or account.revoked:
            raise problem(401, "INVALID_AUTHENTICATION", "Authentication credentials not found.")
        account.calls += 1
        try:
            account.quota.use("burst", self._now())
        except OverQuota as error:
            raise over_quota(error, _limits(account, self._now())) from error
        return account

    async def _before(self, spec: RuleSpec | None) -> None:
        try:
            await self._injector.before(spec)
        except Injected as fault:
            raise refusal(fault) from fault

    async def _answer(self, send: Send, account: Account, value: Any, status: int = 200) -> None:
        limits = _limits(account, self._now())
        headers: RawHeaders = [(name.encode(), text.encode()) for name, text in limits.items()]
        await answer(send, value, status, headers)


def _limits(account: Account, now: datetime) -> dict[str, str]:
    """The headers that each answer has: .../docs/developer-tooling/platform/usage-guidelines."""
    quota = account.quota
    return {
        "x-hubspot-ratelimit-daily": str(quota.limits["daily"]),
        "x-hubspot-ratelimit-daily-remaining": str(quota.left("daily", now)),
        "x-hubspot-ratelimit-interval-milliseconds": "10000",
        "x-hubspot-ratelimit-max": str(quota.limits["burst"]),
        "x-hubspot-ratelimit-remaining": str(quota.left("burst", now)),
    }


async def _body(receive: Receive) -> dict[str, Any]:
    try:
        return parse_object(await read_body(receive))
    except Malformed as malformed:
        raise problem(400, "VALIDATION_ERROR", malformed.detail) from malformed


def _kind(scope: Scope, name: str) -> str:
    kind: str = scope["path_params"][name]
    if kind not in KINDS:
        raise problem(404, "OBJECT_NOT_FOUND", "Unable to infer object type.")
    return kind


def _names(wanted: Mapping[str, Any]) -> list[str]:
    properties = as_object(wanted.get("properties", {}), "`properties`")
    return [str(wanted.get("id")), *(str(value) for value in properties.values())]


def _properties(account: Account, kind: str, wanted: Mapping[str, Any]) -> dict[str, str]:
    values = as_object(wanted.get("properties"), "`properties`")
    wrong = values_wrong(kind, values, account.without)
    if wrong is not None:
        raise wrong
    return values


def _refuse_taken(
    account: Account, kind: str, values: Mapping[str, str], mine: Record | None
) -> None:
    for name in key_of(kind):
        if value := values.get(name):
            for other in account.find(kind, name, value.lower()):
                if mine is None or other.id != mine.id:
                    raise conflict(name, other.id)


def _read(
    account: Account, kind: str, body: Mapping[str, Any], inputs: Iterable[Any]
) -> tuple[list[Any], list[Any]]:
    results, missing = [], []
    key = body.get("idProperty")
    for each in inputs:
        name = str(as_object(each, "an input").get("id"))
        if key is None:
            record = account.get(kind, name)
        else:
            record = next(iter(account.find(kind, str(key), name.lower())), None)
        if record is None:
            missing.append(name)
            continue
        shown = _shown(record)
        asked = {*body.get("properties", ()), "hs_object_id"}
        known = {**record.values, "hs_object_id": record.id}
        results.append({**shown, "properties": {each: known.get(each) for each in sorted(asked)}})
    wrong = Wrong("OBJECT_NOT_FOUND", "Could not get some objects, they may be deleted.")
    return results, [wrong.shown({"ids": missing})] if missing else []


def _link(account: Account, kind: str, one: str, to: str, other: str) -> list[dict[str, Any]]:
    record, target = account.get(kind, one), account.get(to, other)
    if record is None or target is None:
        raise problem(404, "OBJECT_NOT_FOUND", "One of the objects does not exist.")
    record.links.add((to, other))
    target.links.add((kind, one))
    return [{"from": {"id": one}, "to": {"id": other}}]


def _shown(record: Record) -> dict[str, Any]:
    return {
        "id": record.id,
        "properties": record.values,
        "createdAt": record.created_at,
        "updatedAt": record.history[-1].at,
        "archived": False,
    }
