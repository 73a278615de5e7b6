"""Carries the work of many leads into the CRM, their calls in batches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from crm_sync.crm.base import ContactWrite, Crm, CrmError
from crm_sync.decide import contact_fields, idempotency_key
from crm_sync.metrics import CALLS
from crm_sync.model import Contact, Item, Note, Task
from crm_sync.store import Store
from crm_sync.together import together
from crm_sync.work import Call, LeadWork, WriteContact, WriteNote
from leadflow.errors import LeadflowError


class Synchronizer:
    """Runs the work of leads in rounds: one call a lead in each, contacts in batches."""

    def __init__(self, store: Store, crm: Crm) -> None:
        self._store = store
        self._crm = crm

    async def run(
        self, contacts: dict[str, Contact], items: dict[str, list[Item]]
    ) -> list[LeadWork]:
        """Call the CRM for `items`, by lead and in order, until each has an outcome.

        What a call is about to write is stored before it, and what it did after it. Raises
        ContactTaken where another worker has the same lead in hand.
        """
        works = [work_of(contacts.get(lead_id), mine) for lead_id, mine in items.items()]
        stored = {work.contact.lead_id: work.contact for work in works}
        going = works
        while going:
            calls = [(work, work.next_call()) for work in going]
            await self._save(going, stored)
            contact_calls = [(work, call) for work, call in calls if isinstance(call, WriteContact)]
            note_calls = [(work, call) for work, call in calls if isinstance(call, WriteNote)]
            await together((self._write_contacts(contact_calls), self._write_notes(note_calls)))
            going = [work for work, call in calls if call is not None]
        return works

    async def _save(self, works: Iterable[LeadWork], stored: dict[str, Contact]) -> None:
        changed = [work for work in works if work.contact != stored[work.contact.lead_id]]
        saved = await self._store.save_contacts([work.contact for work in changed])
        for work, contact in zip(changed, saved, strict=True):
            work.contact = stored[contact.lead_id] = contact

    async def _write_contacts(self, calls: Sequence[tuple[LeadWork, WriteContact]]) -> None:
        if not calls:
            return
        answers = await self._crm.upsert([_write(work.contact) for work, _ in calls])
        for (work, call), answer in zip(calls, answers, strict=True):
            if isinstance(answer, CrmError):
                _failed(work, call, answer, "contact")
            else:
                CALLS.labels("contact", "written").inc()
                work.succeeded(call, answer)

    async def _write_notes(self, calls: Sequence[tuple[LeadWork, WriteNote]]) -> None:
        answers = await together(
            self._write_note(work.contact.lead_id, call.note) for work, call in calls
        )
        for (work, call), error in zip(calls, answers, strict=True):
            what = "note" if isinstance(call.note, Note) else "task"
            if error is not None:
                _failed(work, call, error, what)
            else:
                CALLS.labels(what, "written").inc()
                work.succeeded(call)

    async def _write_note(self, lead_id: str, note: Note | Task) -> CrmError | None:
        try:
            if isinstance(note, Note):
                await self._crm.add_note(lead_id, note)
            else:
                await self._crm.add_task(lead_id, note)
        except CrmError as error:
            return error
        return None


def work_of(contact: Contact | None, items: Sequence[Item]) -> LeadWork:
    """The work of one lead; `contact` is what its account has of it."""
    first = items[0]
    new = Contact(first.lead_id, first.tenant_id, account_id=first.account.account_id)
    return LeadWork(contact or new, list(items))


def _write(contact: Contact) -> ContactWrite:
    if contact.pending is None:
        raise LeadflowError("a write was asked for and none is pending")
    fields = contact_fields(contact.tenant_id, contact.pending)
    key = idempotency_key(contact.pending_event, fields)
    return ContactWrite(contact.lead_id, key, fields, contact.crm_id)


def _failed(work: LeadWork, call: Call, error: CrmError, what: str) -> None:
    CALLS.labels(what, error.KIND).inc()
    work.failed_with(call, error)
