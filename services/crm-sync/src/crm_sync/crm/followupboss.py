"""Follow Up Boss: a person for each lead, with notes and tasks (ADR 32).

API v1, https://docs.followupboss.com/reference. A person is known by our id in a custom field.
New ones come in as events, so that Follow Up Boss finds the person whom it has already, assigns
and notifies. It knows no deal a lead: the stage is the person's, and so are notes and tasks.

There are no idempotency keys and no unique fields. So nothing is created before it was looked
for: a person by our id, a note or a task by the mark that ours end with.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

import httpx

from crm_sync.crm.base import (
    ContactWrite,
    CrmError,
    CrmMissing,
    CrmNever,
    CrmOdd,
    CrmSignIn,
    CrmUnavailable,
    Kept,
)
from crm_sync.crm.defaults import FOLLOW_UP_BOSS, FOLLOW_UP_BOSS_OWN
from crm_sync.crm.followupboss_answers import gone_or_moved, listed
from crm_sync.crm.guarded import answers
from crm_sync.crm.http import Caller, Gate, id_in, json_object, open_gate, refusal, retry_after
from crm_sync.crm.mapping import CrmMapping, translated, value_at
from crm_sync.model import PERSONAL, Note, Task
from crm_sync.together import together
from leadflow.errors import SettingError

URL = "https://api.followupboss.com/v1"
LEAD = "customLeadflowLeadId"
PAGE = 100
# More notes than a person has, in a second or two.
MOST_PAGES = 30
NAME_CHARS = 200
CANARY = "read of custom fields"
ADDRESS = {
    "street": "address.street",
    "city": "address.city",
    "state": "address.region",
    "code": "address.postal_code",
    "country": "address.country",
}
# Where a number is as an agent wrote it.
AS_WRITTEN = "phone as written"
CAMPAIGN = {name: f"attribution.{name}" for name in ("campaign", "medium", "term", "content")}
Person = dict[str, Any]


class FollowUpBossCrm:
    """Implements `Crm` for one account. `system` and `system_key` are what Follow Up Boss gave
    whoever runs leadflow (https://docs.followupboss.com/reference/identification).

    Raises SettingError for an owner who is no number."""

    name = "followupboss"

    def __init__(
        self,
        api_key: str,
        *,
        system: str = "",
        system_key: str = "",
        url: str = URL,
        timeout_seconds: float = 10,
        mapping: CrmMapping = FOLLOW_UP_BOSS,
        gate: Gate = open_gate,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        # `isdigit` holds for ² too, which is no number.
        if not all(each.isascii() and each.isdigit() for each in mapping.owners.values()):
            raise SettingError("a mapping's owners must be ids of users, numbers")
        self._mapping = mapping
        self._caller = Caller(
            url,
            timeout_seconds,
            headers={"X-System": system, "X-System-Key": system_key} if system else None,
            auth=httpx.BasicAuth(api_key, ""),
            gate=gate,
            transport=transport,
        )

    async def upsert(self, writes: Sequence[ContactWrite]) -> list[str | CrmError]:
        return await answers(map(self._upsert, writes))

    async def _upsert(self, write: ContactWrite) -> str:
        wanted = self._person(write)
        person = await self._known(write) or await self._find(write.external_id)
        if person is None:
            person = await self._create(write, wanted)
        crm_id = id_in(person, "upsert")
        changes = _changes(person, wanted)
        if changes:
            try:
                await self._call("PUT", f"/people/{crm_id}", "update of a person", changes)
            except CrmMissing as error:
                # A new person cannot be reached before it is assigned (reference/common-issues).
                raise CrmUnavailable(f"{error}, though it was found") from error
        return crm_id

    def _person(self, write: ContactWrite) -> Person:
        written = write.fields
        own = translated(written, self._mapping.contact, FOLLOW_UP_BOSS_OWN)
        wanted: Person = {**own, LEAD: write.external_id}
        if (stage := self._mapping.stage(written)) is not None:
            wanted["stage"] = stage
        if (owner := self._mapping.owner(written)) is not None:
            wanted["assignedUserId"] = int(owner)
        if email := written.get("email"):
            wanted["emails"] = [{"value": email, "type": "home"}]
        if phone := written.get("phone"):
            wanted["phones"] = [{"value": phone, "type": "mobile"}]
        if address := translated(written, {ours: name for name, ours in ADDRESS.items()}):
            wanted["addresses"] = [{"type": "home", **address}]
        return wanted

    async def _known(self, write: ContactWrite) -> Person | None:
        """The person by its id, if it is still there and still the lead's."""
        if write.crm_id is None:
            return None
        try:
            found = await self._call(
                "GET", f"/people/{write.crm_id}", "read of a person", params={"fields": "allFields"}
            )
        except CrmMissing:
            return None
        return found if found.get(LEAD) == write.external_id else None

    async def _find(self, external_id: str) -> Person | None:
        found = await self._people({LEAD: external_id})
        mine = [person for person in found if person.get(LEAD) == external_id]
        # Of several the oldest: whoever looks, finds the same one.
        return min(mine, key=lambda person: int(person["id"]), default=None)

    async def _people(self, by: Mapping[str, str]) -> list[Person]:
        everywhere = {"includeTrash": "true", "includeUnclaimed": "true"}
        params = {**by, "fields": "allFields", "limit": str(PAGE), **everywhere}
        answer = await self._call("GET", "/people", "search for a person", params=params)
        return listed(answer, "people", "search for a person")

    async def _create(self, write: ContactWrite, wanted: Person) -> Person:
        """The person of a new lead: one whom Follow Up Boss has already, unless it is another
        lead's; that one would be overwritten by an event."""
        written = write.fields
        person = {name: value for name, value in wanted.items() if value}
        if await self._belongs_to_another(write):
            return await self._call("POST", "/people", "creation of a person", person)
        # An event does not assign a person (reference/events-post).
        person.pop("assignedUserId", None)
        event: dict[str, Any] = {
            "system": "leadflow",
            "source": value_at(written, "attribution.channel") or written.get("source"),
            "type": "Registration",
            "person": person,
        }
        if campaign := translated(written, {ours: name for name, ours in CAMPAIGN.items()}):
            event["campaign"] = campaign
        # What the event does to a person who is there already is up to Follow Up Boss: the
        # lead's fields are compared with the answer and written if need be.
        return await self._call("POST", "/events", "event of a person", event)

    async def _belongs_to_another(self, write: ContactWrite) -> bool:
        for name in ("email", "phone"):
            value = write.fields.get(name)
            found = await self._people({name: value}) if value else []
            if any(person.get(LEAD) not in (None, "", write.external_id) for person in found):
                return True
        return False

    async def add_note(self, external_id: str, note: Note) -> None:
        person = await self._required(external_id, "note")
        mark = _mark(note.note_id)
        if not await self._has("notes", person, "body", mark):
            wanted = {"personId": person, "body": f"{note.text}\n\n{mark}", "isHtml": False}
            await self._call("POST", "/notes", "creation of a note", wanted)

    async def add_task(self, external_id: str, task: Task) -> None:
        person = await self._required(external_id, "task")
        mark = _mark(task.task_id)
        if not await self._has("tasks", person, "name", mark):
            # A task has a name and nothing else to say it with.
            words = " ".join(": ".join(filter(None, (task.title, task.text))).split())
            wanted: dict[str, Any] = {
                "personId": person,
                "name": f"{words[:NAME_CHARS]} {mark}",
                "type": "Call" if task.kind == "call" else "Follow Up",
                "dueDateTime": task.at.isoformat(timespec="seconds"),
            }
            if (owner := self._mapping.owner({"owner": task.owner})) is not None:
                wanted["assignedUserId"] = int(owner)
            await self._call("POST", "/tasks", "creation of a task", wanted)

    async def _required(self, external_id: str, what: str) -> int:
        person = await self._find(external_id)
        if person is None:
            raise CrmMissing(f"creation of a {what}: there is no person for the lead")
        return int(person["id"])

    async def _has(self, kind: str, person: int, field: str, mark: str) -> bool:
        about, what = {"personId": str(person)}, f"search for {kind}"
        async for found in self._pages(f"/{kind}", kind, what, about):
            if any(str(each.get(field) or "").endswith(mark) for each in found):
                return True
        return False

    async def _pages(
        self, path: str, kind: str, what: str, about: Mapping[str, str] = {}
    ) -> AsyncIterator[list[Person]]:
        """All that there is of a kind, page by page. An answer that never comes to its end, as
        one that heeds no offset, raises CrmOdd."""
        for page in range(MOST_PAGES):
            params = {**about, "limit": str(PAGE), "offset": str(page * PAGE)}
            found = listed(await self._call("GET", path, what, params=params), kind, what)
            yield found
            if len(found) < PAGE:
                return
        raise CrmOdd(f"{what}: pages without end")

    @property
    def both_ways(self) -> Mapping[str, str]:
        names = {**self._mapping.contact, "email": "email", "phone": "phone"}
        return {
            **{names[ours]: ours for ours in PERSONAL if ours in names},
            "stage": "stage",
            "assignedUserId": "owner",
        }

    async def whose(self, kind: str, crm_ids: Sequence[str]) -> dict[str, str]:
        people = await together(self._lead_of(each) for each in crm_ids)
        return {name: lead for name, lead in zip(crm_ids, people, strict=True) if lead}

    async def _lead_of(self, crm_id: str) -> str | None:
        if not (crm_id.isascii() and crm_id.isdigit()):
            return None
        try:
            params = {"fields": f"id,{LEAD}"}
            found = await self._call("GET", f"/people/{crm_id}", "read of a person", params=params)
        except CrmMissing:
            return None
        return found.get(LEAD)

    def place(self, kind: str, name: str) -> str:
        return name

    def told(self, kept: Kept, place: str) -> tuple[str, ...]:
        ours = self.both_ways[place]
        if ours == "phone":
            return (kept.get(AS_WRITTEN, kept[place]),)
        return self._mapping.told(ours, kept[place])

    async def read(self, external_ids: Sequence[str]) -> dict[str, Kept]:
        found = await together(self._find(each) for each in external_ids)
        names = self._mapping.contact.values()
        empty = {name: "" for name in names if name.startswith(FOLLOW_UP_BOSS_OWN)}
        return {
            name: {**empty, **_kept(person), **_number_as_written(person)}
            for name, person in zip(external_ids, found, strict=True)
            if person is not None
        }

    def kept(self, fields: Mapping[str, Any]) -> Kept:
        person = self._person(ContactWrite("", "", fields))
        del person[LEAD]
        return _kept(person)

    async def canary(self) -> None:
        """Ask for the custom fields: an account that is locked refuses them."""
        if lacking := await self._lacking():
            raise CrmSignIn(f"the account has no custom field {', '.join(lacking)}")

    async def prepare(self) -> None:
        lacking = await self._lacking()
        theirs = [name for name in lacking if not name.startswith(FOLLOW_UP_BOSS_OWN)]
        if theirs:
            raise CrmSignIn(f"the account has no custom field {', '.join(theirs)}")
        for name in lacking:
            # The name follows from the label (reference/customfields-get).
            label = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name.removeprefix("custom"))
            wanted = {"label": label, "type": "text"}
            await self._call("POST", "/customFields", "creation of a custom field", wanted)

    async def _lacking(self) -> list[str]:
        """The custom fields that writes need and that the account does not have."""
        names = {LEAD, *(n for n in self._mapping.contact.values() if n.startswith("custom"))}
        async for fields in self._pages("/customFields", "customfields", CANARY):
            names -= {str(each.get("name")) for each in fields}
            if not names:
                break
        return sorted(names)

    async def close(self) -> None:
        await self._caller.close()

    async def _call(
        self, method: str, path: str, what: str, body: Any = None, params: Any = None
    ) -> dict[str, Any]:
        request = {"json": body} if body is not None else {"params": params}
        response = await self._caller.call(method, path, what, **request)
        if response.status_code == 204 and path == "/events":
            # reference/events-post: the lead flow of this source is archived.
            raise CrmNever(f"{what}: the account ignores leads of this source")
        if response.is_success and not response.content:
            # Follow Up Boss answers all other calls with an object: this is somebody else.
            raise CrmSignIn(f"{what}: HTTP {response.status_code} without an answer")
        if response.is_success:
            return json_object(response, what)
        raise await self._refusal(response, path, what)

    async def _refusal(self, response: httpx.Response, path: str, what: str) -> CrmError:
        """https://docs.followupboss.com/reference/error-responses"""
        status, reason = response.status_code, f"{what}: HTTP {response.status_code}"
        if (gone := gone_or_moved(response, path, reason)) is not None:
            return gone
        if status == 400 and "Invalid fields" in response.text:
            return CrmSignIn(f"{reason}: the account lacks a field that the mapping names")
        if status == 403 and what != CANARY:
            # An account that is locked, or a key that may see others but not this person.
            try:
                await self.canary()
            except CrmError as error:
                return error
            return CrmNever(f"{reason}: the key may not see this person")
        return refusal(status, reason, retry_after(response))


def _mark(our_id: str) -> str:
    return f"[leadflow {hashlib.sha256(our_id.encode()).hexdigest()[:16]}]"


def _changes(person: Mapping[str, Any], wanted: Mapping[str, Any]) -> Person:
    """What is to be written. Lists are replaced by a PUT (reference/people-id-put): what agents
    have added is written again."""
    changes: Person = {}
    for name, value in wanted.items():
        present = person.get(name)
        if name in ("emails", "phones"):
            mine = _values(value)
            value = [*value, *(each for each in present or () if _value(each) not in mine)]
            if _values(present) == _values(value):
                continue
        elif name == "addresses":
            value = [*value, *(present or [])[1:]]
            if present and _contains(present[0], value[0]):
                continue
        elif str(present or "") == str(value):
            continue
        # A custom field is emptied by null.
        changes[name] = None if value == "" else value
    return changes


def _values(entries: Any) -> list[str]:
    return [_value(each) for each in entries or ()]


def _value(entry: Mapping[str, Any]) -> str:
    """An address or a number to compare by: Follow Up Boss writes numbers in its own way."""
    value = str(entry.get("value") or "").lower()
    return value if "@" in value else "".join(filter(str.isdigit, value))[-10:]


def _number_as_written(person: Mapping[str, Any]) -> dict[str, str]:
    numbers = [str(each.get("value") or "") for each in person.get("phones") or ()]
    return {AS_WRITTEN: numbers[0]} if numbers else {}


def _contains(present: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    return all(present.get(name) == value for name, value in wanted.items())


def _kept(person: Mapping[str, Any]) -> dict[str, Any]:
    """A person as flat fields: of its addresses the first ones, of a number ten digits."""
    flat = {
        name: str(value)
        for name, value in person.items()
        if value is not None and not isinstance(value, (list, dict))
    }
    for name, entries in (("email", "emails"), ("phone", "phones")):
        for each in (person.get(entries) or ())[:1]:
            flat[name] = _value(each)
    for each in (person.get("addresses") or ())[:1]:
        flat |= {f"address.{name}": str(each[name]) for name in ADDRESS if each.get(name)}
    return flat
