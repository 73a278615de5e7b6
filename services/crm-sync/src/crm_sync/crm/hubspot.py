"""HubSpot: a contact and a deal for each lead, notes and tasks on the deal (ADR 32).

CRM API v3 and v4, https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/guide. Every
object of ours has a property of ours that HubSpot keeps unique, and every write names the object
by it. So a call may be repeated, and one whose answer was lost creates nothing twice. HubSpot
has no idempotency keys: a call that it carries out after we have stopped waiting for it would
still be carried out, so nothing newer is written before the retry delay is over.

E-mail addresses are unique among HubSpot's contacts too. A contact that has the lead's address
and no lead becomes the lead's; if it is another lead's, ours is written without the address.
"""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import httpx

from crm_sync.crm.base import (
    ContactWrite,
    CrmConflict,
    CrmError,
    CrmMissing,
    CrmNever,
    CrmSignIn,
    Kept,
)
from crm_sync.crm.defaults import HUBSPOT, HUBSPOT_OWN
from crm_sync.crm.guarded import answers_in_batches, reading
from crm_sync.crm.http import Caller, Gate, json_object, open_gate
from crm_sync.crm.hubspot_answers import AddressTaken, by_item, by_pair, halves, item_error, refused
from crm_sync.crm.mapping import CrmMapping, translated
from crm_sync.model import PERSONAL, Note, Task
from crm_sync.together import together

URL = "https://api.hubapi.com"
BATCH = 100
LEAD = "leadflow_lead_id"
NOTE = "leadflow_note_id"
TASK = "leadflow_task_id"


class HubSpotCrm:
    """Implements `Crm` for one HubSpot account. `token` is a private app's."""

    name = "hubspot"

    def __init__(
        self,
        token: str,
        *,
        url: str = URL,
        timeout_seconds: float = 10,
        mapping: CrmMapping = HUBSPOT,
        gate: Gate = open_gate,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._mapping = mapping
        self._caller = Caller(
            url,
            timeout_seconds,
            headers={"Authorization": f"Bearer {token}"},
            gate=gate,
            transport=transport,
        )

    async def upsert(self, writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        return await answers_in_batches(writes, BATCH, self._upsert_chunk)

    async def _upsert_chunk(self, chunk: Sequence[ContactWrite]) -> list[str | CrmError]:
        """Three calls: the contacts, their deals, and that they belong together."""
        answers: dict[str, str | CrmError] = {}
        contacts: dict[str, dict[str, str]] = {}
        deals: dict[str, dict[str, str]] = {}
        for write in chunk:
            try:
                with reading("upsert"):
                    deals[write.external_id] = self._deal(write)
                    contacts[write.external_id] = self._contact(write.fields)
            except CrmError as error:
                deals.pop(write.external_id, None)
                answers[write.external_id] = error
        answers |= await self._contacts(contacts)
        there = {name: deals[name] for name in deals if isinstance(answers[name], str)}
        for name, deal in (await self._upsert("deals", LEAD, there)).items():
            there[name] = {} if isinstance(deal, CrmError) else {"id": deal}
            if isinstance(deal, CrmError):
                answers[name] = deal
        pairs = {name: (there[name]["id"], str(answers[name])) for name in there if there[name]}
        answers |= await self._apart(pairs)
        return [answers[write.external_id] for write in chunk]

    def _contact(self, written: Mapping[str, Any]) -> dict[str, str]:
        found = translated(written, self._mapping.contact, HUBSPOT_OWN)
        if (owner := self._mapping.owner(written)) is not None:
            found["hubspot_owner_id"] = owner
        return found

    def _deal(self, write: ContactWrite) -> dict[str, str]:
        found = self._deal_kept(write.fields)
        names = (write.fields.get("first_name"), write.fields.get("last_name"))
        person = " ".join(name for name in names if name) or write.fields.get("company")
        # Whose name is not known yet is told apart by the id.
        return {"dealname": person or f"Lead {write.external_id}", **found}

    def _deal_kept(self, written: Mapping[str, Any]) -> dict[str, str]:
        found = translated(written, self._mapping.deal, HUBSPOT_OWN)
        if (stage := self._mapping.stage(written)) is not None:
            found |= {"dealstage": stage, "pipeline": self._mapping.pipeline}
        if (owner := self._mapping.owner(written)) is not None:
            found["hubspot_owner_id"] = owner
        return found

    async def _contacts(self, wanted: Mapping[str, dict[str, str]]) -> dict[str, str | CrmError]:
        found = await self._upsert("contacts", LEAD, wanted)
        taken = {name: e.existing for name, e in found.items() if isinstance(e, AddressTaken)}
        if taken:
            try:
                with reading("upsert"):
                    found |= await self._share_addresses(taken, wanted)
            except CrmError as error:
                found |= dict.fromkeys(taken, error)
        return found

    async def _share_addresses(
        self, taken: Mapping[str, str], wanted: Mapping[str, dict[str, str]]
    ) -> dict[str, str | CrmError]:
        """For leads whose address another contact has: that contact, or one without it."""
        holders = await self._read("contacts", "hs_object_id", set(taken.values()), [LEAD])
        free = {name for name, properties in holders.items() if not properties.get(LEAD)}
        mine: dict[str, dict[str, str]] = {}
        without: dict[str, dict[str, str]] = {}
        for name, existing in taken.items():
            if existing in free:
                free.remove(existing)
                mine[name] = {**wanted[name], LEAD: name, "hs_object_id": existing}
            else:
                without[name] = {k: v for k, v in wanted[name].items() if k != "email"}
        return await self._adopt(mine) | await self._upsert("contacts", LEAD, without)

    async def _adopt(self, wanted: Mapping[str, dict[str, str]]) -> dict[str, str | CrmError]:
        inputs = {
            name: {
                "id": properties["hs_object_id"],
                "properties": {k: v for k, v in properties.items() if k != "hs_object_id"},
            }
            for name, properties in wanted.items()
        }
        found = await self._batch("contacts", "update", LEAD, inputs)
        gone = CrmConflict("update of contacts: the contact with the address has just gone")
        return {name: gone if isinstance(e, CrmMissing) else e for name, e in found.items()}

    async def _upsert(
        self, kind: str, key: str, wanted: Mapping[str, dict[str, str]]
    ) -> dict[str, str | CrmError]:
        inputs = {
            name: {"idProperty": key, "id": name, "properties": {**properties, key: name}}
            for name, properties in wanted.items()
        }
        return await self._batch(kind, "upsert", key, inputs)

    async def _batch(
        self, kind: str, verb: str, key: str, inputs: Mapping[str, dict[str, Any]]
    ) -> dict[str, str | CrmError]:
        """HubSpot's id of each object, or why it was not written, by our id."""
        if not inputs:
            return {}
        traced = [{**each, "objectWriteTraceId": name} for name, each in inputs.items()]
        what = f"{verb} of {kind}"
        path = f"/crm/v3/objects/{kind}/batch/{verb}"
        try:
            answer = await self._call("POST", path, what, {"inputs": traced})
        except (CrmNever, CrmMissing, CrmConflict) as error:
            if len(inputs) == 1:
                return dict.fromkeys(inputs, error)
            # One of them may be to blame for all: look for it by halves.
            answers = await together(self._batch(kind, verb, key, half) for half in halves(inputs))
            return answers[0] | answers[1]
        except CrmError as error:
            return dict.fromkeys(inputs, error)
        return by_item(answer, key, inputs, what)

    async def _apart(self, pairs: Mapping[str, tuple[str, str]]) -> dict[str, CrmError]:
        """Make deals and contacts belong together; those that do not, and why, by our id."""
        if not pairs:
            return {}
        what = "association of deals"
        path = "/crm/v4/associations/deals/contacts/batch/associate/default"
        inputs = [{"from": {"id": deal}, "to": {"id": contact}} for deal, contact in pairs.values()]
        try:
            found = by_pair(await self._call("POST", path, what, {"inputs": inputs}), pairs, what)
        except (CrmNever, CrmMissing, CrmConflict) as error:
            if len(pairs) > 1:
                answers = await together(map(self._apart, halves(pairs)))
                return answers[0] | answers[1]
            found = dict.fromkeys(pairs, error)
        except CrmError as error:
            return dict.fromkeys(pairs, error)
        # Both have just been written: a repeat writes what went meanwhile.
        gone = CrmConflict(f"{what}: one of them has just gone")
        return {name: gone if isinstance(e, CrmMissing) else e for name, e in found.items()}

    async def add_note(self, external_id: str, note: Note) -> None:
        properties = {
            # HubSpot keeps notes as HTML.
            "hs_note_body": html.escape(note.text, quote=False).replace("\n", "<br>"),
            "hs_timestamp": _instant(note.at),
        }
        await self._put_on_deal(external_id, "notes", NOTE, note.note_id, properties)

    async def add_task(self, external_id: str, task: Task) -> None:
        # No status: a repeat must not open a task again that somebody has done meanwhile.
        properties = {
            "hs_task_subject": task.title,
            "hs_task_body": html.escape(task.text, quote=False).replace("\n", "<br>"),
            "hs_task_type": "CALL" if task.kind == "call" else "TODO",
            "hs_timestamp": _instant(task.at),
        }
        if (owner := self._mapping.owner({"owner": task.owner})) is not None:
            properties["hubspot_owner_id"] = owner
        await self._put_on_deal(external_id, "tasks", TASK, task.task_id, properties)

    async def _put_on_deal(
        self, external_id: str, kind: str, key: str, name: str, properties: dict[str, str]
    ) -> None:
        deals = await self._read("deals", LEAD, [external_id], ["hs_object_id"])
        if external_id not in deals:
            raise CrmMissing(f"upsert of {kind}: there is no deal for the lead")
        found = (await self._upsert(kind, key, {name: properties}))[name]
        if isinstance(found, CrmError):
            raise found
        deal = deals[external_id]["hs_object_id"]
        path = f"/crm/v4/objects/{kind}/{found}/associations/default/deals/{deal}"
        await self._call("PUT", path, f"association of {kind}", None)

    @property
    def both_ways(self) -> Mapping[str, str]:
        names = self._mapping.contact
        return {
            **{f"contact.{names[ours]}": ours for ours in PERSONAL if ours in names},
            "contact.hubspot_owner_id": "owner",
            "deal.dealstage": "stage",
            "deal.hubspot_owner_id": "owner",
        }

    async def whose(self, kind: str, crm_ids: Sequence[str]) -> dict[str, str]:
        found: dict[str, str] = {}
        for start in range(0, len(crm_ids), BATCH):
            chunk = crm_ids[start : start + BATCH]
            read = await self._read(f"{kind}s", "hs_object_id", chunk, [LEAD])
            found |= {name: lead for name, each in read.items() if (lead := each.get(LEAD))}
        return found

    def place(self, kind: str, name: str) -> str:
        return f"{kind}.{name}"

    def told(self, kept: Kept, place: str) -> tuple[str, ...]:
        return self._mapping.told(self.both_ways[place], kept[place])

    async def read(self, external_ids: Sequence[str]) -> dict[str, Kept]:
        contacts = [*self._mapping.contact.values(), "hubspot_owner_id"]
        deals = [*self._mapping.deal.values(), "dealstage", "pipeline", "hubspot_owner_id"]
        found: dict[str, Kept] = {}
        for start in range(0, len(external_ids), BATCH):
            chunk = external_ids[start : start + BATCH]
            persons = await self._read("contacts", LEAD, chunk, contacts)
            theirs = await self._read("deals", LEAD, list(persons), deals)
            for name, properties in persons.items():
                found[name] = _kept(properties, theirs.get(name, {}))
        return found

    def kept(self, fields: Mapping[str, Any]) -> Kept:
        return _kept(self._contact(fields), self._deal_kept(fields))

    async def _read(
        self, kind: str, key: str, names: Iterable[str], properties: Sequence[str]
    ) -> dict[str, dict[str, str | None]]:
        """Properties by the value of `key`, the record's own id among them; up to 100."""
        wanted = [{"id": name} for name in sorted(names)]
        if not wanted:
            return {}
        body: dict[str, Any] = {
            "inputs": wanted,
            "properties": sorted({key, *properties}),
            "propertiesWithHistory": [],
        }
        if key != "hs_object_id":
            body["idProperty"] = key
        answer = await self._call(
            "POST", f"/crm/v3/objects/{kind}/batch/read", f"read of {kind}", body
        )
        for error in answer.get("errors") or ():
            found = item_error(error, f"read of {kind}")
            if not isinstance(found, CrmMissing):
                raise found
        read: dict[str, dict[str, str | None]] = {}
        for each in answer["results"]:
            values = {**each["properties"], "hs_object_id": each["id"]}
            read[str(values[key])] = values
        return read

    async def canary(self) -> None:
        lacking = await self._lacking()
        if any(lacking.values()):
            raise _lacks(lacking)

    async def prepare(self) -> None:
        lacking = await self._lacking()
        theirs = {
            kind: [name for name in names if not name.startswith(HUBSPOT_OWN)]
            for kind, names in lacking.items()
        }
        if any(theirs.values()):
            raise _lacks(theirs)
        for kind, names in lacking.items():
            if names:
                await self._make(kind, names)

    async def _lacking(self) -> dict[str, list[str]]:
        """The properties that writes need and that the account does not have."""
        wanted = {
            "contacts": {LEAD, *self._mapping.contact.values()},
            "deals": {LEAD, *self._mapping.deal.values()},
            "notes": {NOTE},
            "tasks": {TASK},
        }
        lacking = {}
        for kind, names in wanted.items():
            inputs = [{"name": name} for name in sorted(names)]
            path = f"/crm/v3/properties/{kind}/batch/read"
            answer = await self._call(
                "POST", path, "read of properties", {"archived": False, "inputs": inputs}
            )
            lacking[kind] = sorted(names - {each["name"] for each in answer["results"]})
        return lacking

    async def _make(self, kind: str, names: Sequence[str]) -> None:
        what = "creation of properties"
        group = {"name": "leadflow", "label": "Leadflow"}
        with suppress(CrmConflict):
            await self._call("POST", f"/crm/v3/properties/{kind}/groups", what, group)
        inputs = [
            {
                "name": name,
                "label": name.replace("_", " ").capitalize(),
                "type": "string",
                "fieldType": "text",
                "groupName": "leadflow",
                "hasUniqueValue": name in (LEAD, NOTE, TASK),
            }
            for name in names
        ]
        answer = await self._call(
            "POST", f"/crm/v3/properties/{kind}/batch/create", what, {"inputs": inputs}
        )
        for error in answer.get("errors") or ():
            raise item_error(error, what)

    async def close(self) -> None:
        await self._caller.close()

    async def _call(self, method: str, path: str, what: str, body: Any) -> dict[str, Any]:
        response = await self._caller.call(method, path, what, json=body)
        if not response.is_success:
            raise refused(response, what)
        if not response.content:
            # HubSpot answers every call of ours with an object: this is somebody else.
            raise CrmSignIn(f"{what}: HTTP {response.status_code} without an answer")
        answer = json_object(response, what)
        if answer.get("status") == "error":
            raise item_error(answer, what)
        return answer


def _lacks(lacking: Mapping[str, Sequence[str]]) -> CrmSignIn:
    named = ", ".join(f"{kind}.{name}" for kind, names in lacking.items() for name in names)
    return CrmSignIn(f"the account has no property {named}")


def _kept(contact: Mapping[str, str | None], deal: Mapping[str, str | None]) -> dict[str, Any]:
    return {
        **{f"contact.{name}": value or "" for name, value in contact.items()},
        **{f"deal.{name}": value or "" for name, value in deal.items()},
    }


def _instant(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
