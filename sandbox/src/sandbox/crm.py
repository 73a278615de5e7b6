"""A CRM: contacts by external id, every value ever written, notes and tasks."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from sandbox.errors import Full, KeyConflict, Malformed, Unknown
from sandbox.wire import JsonObject, as_text, canonical, parse, sha256


@dataclass(frozen=True, slots=True)
class Write:
    """One value of a contact: canonical JSON. `seq` counts all writes of the CRM from 1. `by` is
    api or person."""

    seq: int
    key: str | None
    contact: bytes
    written_at: datetime
    by: str = "api"


@dataclass(frozen=True, slots=True)
class Note:
    note_id: str
    text: str
    at: str | None
    written_at: datetime


@dataclass(frozen=True, slots=True)
class Task:
    """Something for a person to do: the JSON object as it was given."""

    task_id: str
    task: JsonObject
    written_at: datetime


@dataclass(slots=True)
class Contact:
    """A contact with its writes in order, the last of which is its value, notes and tasks."""

    id: str
    external_id: str
    writes: list[Write] = field(default_factory=list)
    notes: dict[str, Note] = field(default_factory=dict)
    tasks: dict[str, Task] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Upserted:
    """The answer to a write. `replayed`: the key was used before, nothing was written now."""

    id: str
    created: bool
    replayed: bool


@dataclass(frozen=True, slots=True)
class _KeyUse:
    external_id: str
    digest: bytes
    id: str
    created: bool


class Crm:
    """The contacts of one run; writes, notes and tasks together at most `capacity`."""

    def __init__(self, capacity: int, token: str) -> None:
        self._capacity = capacity
        self._token = token
        self._contacts: dict[str, Contact] = {}
        # In the order of creation, so that a page is a slice.
        self._order: list[Contact] = []
        self._keys: dict[str, _KeyUse] = {}
        self._writes = 0
        self._notes = 0
        self._tasks = 0

    def upsert(
        self, external_id: str, fields: JsonObject, key: str | None, now: datetime
    ) -> Upserted:
        """Write a contact; the new value replaces the old one as a whole.

        A key that was used with the same contact and value writes nothing and answers as
        the first time. Raises KeyConflict for a used key with anything else, Full past the
        capacity.
        """
        if "/" in external_id:
            raise Malformed("`external_id` must have no slash: it is a part of a path")
        body = canonical(fields)
        digest = sha256(body)
        if key is not None and (use := self._keys.get(key)) is not None:
            if use.external_id != external_id or use.digest != digest:
                raise KeyConflict(f"key {key!r} was used for another contact or value")
            return Upserted(use.id, use.created, replayed=True)
        self._require_room()
        contact = self._contacts.get(external_id)
        created = contact is None
        if contact is None:
            contact = Contact(f"crm_{self._token}_{len(self._order) + 1:07d}", external_id)
            self._contacts[external_id] = contact
            self._order.append(contact)
        self._writes += 1
        contact.writes.append(Write(self._writes, key, body, now))
        if key is not None:
            self._keys[key] = _KeyUse(external_id, digest, contact.id, created)
        return Upserted(contact.id, created, replayed=False)

    def edit(self, external_id: str, values: JsonObject, now: datetime) -> Contact:
        """Set values of a contact as a person would; the others stay. Raises Unknown, Full."""
        contact = self.contact(external_id)
        self._require_room()
        self._writes += 1
        body = canonical({**parse(contact.writes[-1].contact), **values})
        contact.writes.append(Write(self._writes, None, body, now, by="person"))
        return contact

    def add_note(self, external_id: str, note: JsonObject, now: datetime) -> bool:
        """Write `{"note_id", "text", "at"?}`; False where the contact has the note already.

        Raises Unknown without the contact, KeyConflict where the note has another text.
        `at` may differ: a retry may be stamped anew.
        """
        contact = self.contact(external_id)
        note_id = as_text(note.get("note_id"), "`note_id`")
        text = as_text(note.get("text"), "`text`")
        at = note.get("at")
        if at is not None and not isinstance(at, str):
            raise Malformed("`at` must be a string")
        earlier = contact.notes.get(note_id)
        if earlier is not None:
            if earlier.text != text:
                raise KeyConflict(f"note {note_id!r} was written with another text")
            return False
        self._require_room()
        contact.notes[note_id] = Note(note_id, text, at, now)
        self._notes += 1
        return True

    def add_task(self, external_id: str, task: JsonObject, now: datetime) -> bool:
        """Write `{"task_id", "title", ...}`; False where the contact has the task already.

        Raises Unknown without the contact.
        """
        contact = self.contact(external_id)
        task_id = as_text(task.get("task_id"), "`task_id`")
        as_text(task.get("title"), "`title`")
        if task_id in contact.tasks:
            return False
        self._require_room()
        contact.tasks[task_id] = Task(task_id, task, now)
        self._tasks += 1
        return True

    def contact(self, external_id: str) -> Contact:
        """The contact, or Unknown."""
        contact = self._contacts.get(external_id)
        if contact is None:
            raise Unknown(f"there is no contact {external_id!r}")
        return contact

    def page(self, offset: int, limit: int) -> tuple[int, list[Contact]]:
        """How many contacts there are, and those from `offset`, in the order of creation."""
        return len(self._order), self._order[offset : offset + limit]

    def counts(self) -> dict[str, int]:
        return {
            "contacts": len(self._order),
            "notes": self._notes,
            "tasks": self._tasks,
            "writes": self._writes,
        }

    def _require_room(self) -> None:
        if self._writes + self._notes + self._tasks >= self._capacity:
            raise Full(f"{self._capacity} writes are held; DELETE /accepted makes room")
