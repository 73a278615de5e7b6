"""/crm: contacts, their history, notes and tasks. Faults hit writes, never reads."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime
from typing import Any

import orjson
from starlette.types import Receive, Scope, Send

from sandbox.crm import Contact, Upserted, Write
from sandbox.crm_notices import of_contact, read_webhook
from sandbox.errors import Malformed, Refused, Unknown
from sandbox.exchange import (
    REPLAYED,
    answer,
    answer_nothing,
    idempotency_key,
    page_bounds,
    query,
    read_body,
)
from sandbox.fault_rules import RuleSpec
from sandbox.http_callbacks import post
from sandbox.http_providers import MAX_PAGE, item_problem
from sandbox.injection import Injector
from sandbox.state import State
from sandbox.wire import as_key, as_object, as_text, canonical, parse, parse_batch, parse_object


class CrmRoutes:
    """The endpoints of the CRM. Who is told of edits is told before they are answered; `told` is
    the status, 0 where nobody answers, null where nobody is to be told."""

    def __init__(self, state: State, injector: Injector, now: Callable[[], datetime]) -> None:
        self._state = state
        self._injector = injector
        self._now = now

    async def upsert(self, scope: Scope, receive: Receive, send: Send) -> None:
        """PUT /crm/contacts/{external_id}"""
        external_id = scope["path_params"]["external_id"]
        body = await read_body(receive)
        fields = parse_object(body)
        key = idempotency_key(scope)
        spec = self._state.faults.pick("crm", [external_id], body)
        await self._injector.before(spec)
        done = self._state.crm.upsert(external_id, fields, key, self._now())
        self._injector.after(spec)
        await answer(send, _upserted(done), headers=REPLAYED if done.replayed else ())

    async def upsert_batch(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /crm/contacts/batch: up to 100 of {"external_id", "key"?, "contact"}.

        Faults as for a batch of sends: without `match` the whole request, else items. An answer
        that is late or lost is one about items that may have been refused.
        """
        items = parse_batch(await read_body(receive))
        whole = self._state.faults.pick_batch("crm")
        await self._injector.before(whole)
        specs = [whole]
        results = []
        for item in items:
            result, spec = await self._upsert_item(item)
            results.append(result)
            specs.append(spec)
        for spec in specs:
            self._injector.after(spec)
        await answer(send, {"results": results})

    async def _upsert_item(self, item: Any) -> tuple[dict[str, Any], RuleSpec | None]:
        spec = None
        try:
            entry = as_object(item, "an item")
            if unknown := sorted(entry.keys() - {"external_id", "key", "contact"}):
                raise Malformed(f"an item has no field {', '.join(unknown)}")
            external_id = as_text(entry.get("external_id"), "`external_id`")
            key = as_key(entry.get("key"))
            fields = as_object(entry.get("contact"), "`contact`")
            spec = self._state.faults.pick_item("crm", [external_id], canonical(fields))
            await self._injector.before(spec)
            done = self._state.crm.upsert(external_id, fields, key, self._now())
        except Refused as error:
            return item_problem(error), spec
        result = {"status": 200, **_upserted(done)}
        return {**result, "replayed": True} if done.replayed else result, spec

    async def show(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /crm/contacts/{external_id}"""
        await answer(send, _contact(self._state.crm.contact(scope["path_params"]["external_id"])))

    async def edit(self, scope: Scope, receive: Receive, send: Send) -> None:
        """PATCH /crm/contacts/{external_id}: values as a person would set them."""
        values = parse_object(await read_body(receive))
        contact = self._state.crm.edit(scope["path_params"]["external_id"], values, self._now())
        await answer(send, {**_contact(contact), "told": await self._tell(contact, -1)})

    async def tell(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /crm/contacts/{external_id}/notices: {"seq"?}: tell of that write, or the last."""
        contact = self._state.crm.contact(scope["path_params"]["external_id"])
        asked = parse_object(await read_body(receive)).get("seq", contact.writes[-1].seq)
        numbers = [write.seq for write in contact.writes]
        if asked not in numbers:
            raise Unknown(f"the contact has no write {asked!r}")
        told = await self._tell(contact, numbers.index(asked))
        await answer(send, {"told": told})

    async def set_webhook(self, scope: Scope, receive: Receive, send: Send) -> None:
        """PUT /crm/webhook: {"url", "secret"} of who is told of edits, or null."""
        self._state.crm_webhook = read_webhook(parse(await read_body(receive)))
        await answer_nothing(send)

    async def _tell(self, contact: Contact, index: int) -> int | None:
        webhook = self._state.crm_webhook
        if webhook is None:
            return None
        report = of_contact(contact, contact.writes[index], webhook, self._now())
        return await asyncio.to_thread(post, report)

    async def list_contacts(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /crm/contacts?offset=&limit="""
        total, found = self._state.crm.page(*page_bounds(query(scope), MAX_PAGE))
        await answer(send, {"total": total, "items": [_contact(contact) for contact in found]})

    async def history(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /crm/contacts/{external_id}/history: every value written, in order."""
        contact = self._state.crm.contact(scope["path_params"]["external_id"])
        items = [_write(write) for write in contact.writes]
        await answer(send, {"total": len(items), "items": items})

    async def add_note(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /crm/contacts/{external_id}/notes: {"note_id", "text", "at"?}"""
        external_id = scope["path_params"]["external_id"]
        body = await read_body(receive)
        note = parse_object(body)
        spec = self._state.faults.pick("crm", [external_id], body)
        await self._injector.before(spec)
        created = self._state.crm.add_note(external_id, note, self._now())
        self._injector.after(spec)
        headers = () if created else REPLAYED
        await answer(send, {"note_id": note["note_id"], "created": created}, headers=headers)

    async def list_notes(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /crm/contacts/{external_id}/notes"""
        contact = self._state.crm.contact(scope["path_params"]["external_id"])
        items = [
            {"note_id": n.note_id, "text": n.text, "at": n.at, "written_at": n.written_at}
            for n in contact.notes.values()
        ]
        await answer(send, {"total": len(items), "items": items})

    async def add_task(self, scope: Scope, receive: Receive, send: Send) -> None:
        """POST /crm/contacts/{external_id}/tasks: {"task_id", "title", ...}"""
        external_id = scope["path_params"]["external_id"]
        body = await read_body(receive)
        task = parse_object(body)
        spec = self._state.faults.pick("crm", [external_id], body)
        await self._injector.before(spec)
        created = self._state.crm.add_task(external_id, task, self._now())
        self._injector.after(spec)
        headers = () if created else REPLAYED
        await answer(send, {"task_id": task["task_id"], "created": created}, headers=headers)

    async def list_tasks(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /crm/contacts/{external_id}/tasks"""
        contact = self._state.crm.contact(scope["path_params"]["external_id"])
        items = [{**each.task, "written_at": each.written_at} for each in contact.tasks.values()]
        await answer(send, {"total": len(items), "items": items})

    async def counts(self, scope: Scope, receive: Receive, send: Send) -> None:
        """GET /crm/counts"""
        await answer(send, self._state.crm.counts())


def _upserted(done: Upserted) -> dict[str, Any]:
    return {"id": done.id, "created": done.created}


def _contact(contact: Contact) -> dict[str, Any]:
    latest = contact.writes[-1]
    return {
        "id": contact.id,
        "external_id": contact.external_id,
        "contact": orjson.Fragment(latest.contact),
        "writes": len(contact.writes),
        "notes": len(contact.notes),
        "tasks": len(contact.tasks),
        "updated_at": latest.written_at,
    }


def _write(write: Write) -> dict[str, Any]:
    return {
        "seq": write.seq,
        "key": write.key,
        "contact": orjson.Fragment(write.contact),
        "written_at": write.written_at,
        "by": write.by,
    }
