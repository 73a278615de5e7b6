"""The way of one lead's records into the CRM, call by call. Pure.

`next_call` says what to call, `succeeded` and `failed` take the answer, until there is
nothing more to call. The rules:

- a write of unknown outcome comes first, under its old key: if it did reach the CRM, or is
  still on its way, the repeat changes nothing, and nothing older can follow something newer;
- changes that stand together become one write of their end state; if the CRM refuses it for
  good, they are written one by one, so that only the culprit is refused;
- where nothing is newer, nothing is called, unless a change is to be written again all the same;
- a note or a task waits for its contact, which is written first if need be;
- after a failure that may pass, the rest of the lead's records wait behind.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from crm_sync.crm.base import CrmError, CrmMissing
from crm_sync.decide import contact_fields, merge
from crm_sync.model import PROFILE, Contact, Item, Note, State, Task, Upsert


@dataclass(frozen=True, slots=True)
class WriteContact:
    """Write `Contact.pending`. It carries the changes of `covers`; `before_note` of none."""

    covers: tuple[Item, ...]
    before_note: bool = False


@dataclass(frozen=True, slots=True)
class WriteNote:
    """Write what belongs to a contact that is there, and is written once."""

    item: Item
    note: Note | Task


Call = WriteContact | WriteNote


@dataclass(slots=True)
class LeadWork:
    """Records of one lead in order, and what became of them.

    In the end every item is in one of `written`, `unchanged` (the CRM has it already, or
    something newer), `refused` (never), `failed` (a call for it failed and may succeed
    later, see `error`) and `behind` (waits for those).
    """

    contact: Contact
    waiting: list[Item]
    written: list[Item] = field(default_factory=list)
    unchanged: list[Item] = field(default_factory=list)
    refused: list[tuple[Item, CrmError]] = field(default_factory=list)
    failed: list[Item] = field(default_factory=list)
    behind: list[Item] = field(default_factory=list)
    error: CrmError | None = None
    _one_by_one: int = 0
    _gone: bool = False
    _written_again_for: str = ""

    def next_call(self) -> Call | None:
        """The next call, with `contact.pending` set to what it writes; None at the end."""
        if self.error is not None:
            return None
        if self.contact.pending is not None:
            return WriteContact(())
        while self.waiting:
            item = self.waiting[0]
            if not isinstance(item.change, Upsert):
                if self.contact.crm_id is not None and not self._gone:
                    return WriteNote(item, item.change)
                return self._write(self.contact.state, item, (), before_note=True)
            covers = self._standing_together()
            changes = [item.change for item in covers if isinstance(item.change, Upsert)]
            state = merge(self.contact.state, changes)
            # The cause gives the write its key: of an equal one, an old key would be a repeat.
            again = [item for item, change in zip(covers, changes, strict=True) if change.again]
            if self._needs_a_call(state, again=bool(again)):
                return self._write(state, (again or covers)[-1], covers)
            self.contact = replace(self.contact, state=state)
            self._done(covers, self.unchanged)
        return None

    def succeeded(self, call: Call, crm_id: str = "") -> None:
        if isinstance(call, WriteNote):
            self._done((call.item,), self.written)
            return
        assert self.contact.pending is not None
        self.contact = replace(
            self.contact, state=self.contact.pending, crm_id=crm_id, pending=None, pending_event=""
        )
        self._gone = False
        self._done(call.covers, self.written)

    def failed_with(self, call: Call, error: CrmError) -> None:
        if isinstance(call, WriteNote):
            if isinstance(error, CrmMissing) and self._written_again_for != call.item.event_id:
                # Somebody deleted the contact: written once more, then the note again.
                self._gone, self._written_again_for = True, call.item.event_id
            elif not error.retryable:
                self._refuse(error)
            else:
                self._wait((call.item,), error)
            return
        if error.retryable:
            self._wait(call.covers or self.waiting[:1], error)
            return
        self.contact = replace(self.contact, pending=None, pending_event="")
        if len(call.covers) > 1:
            self._one_by_one = len(call.covers)
        elif call.covers or call.before_note:
            self._refuse(error)

    def hold(self, error: CrmError) -> None:
        """All of it waits, and no call is made."""
        self._wait(self.waiting[:1], error)

    def _standing_together(self) -> tuple[Item, ...]:
        if self._one_by_one:
            return (self.waiting[0],)
        covers = []
        for item in self.waiting:
            if not isinstance(item.change, Upsert):
                break
            covers.append(item)
        return tuple(covers)

    def _needs_a_call(self, state: State, *, again: bool) -> bool:
        if self.contact.crm_id is None:
            # A contact without a profile is of no use to anybody: it waits for the rest.
            return PROFILE in state
        if again:
            return True
        tenant_id = self.contact.tenant_id
        return contact_fields(tenant_id, state) != contact_fields(tenant_id, self.contact.state)

    def _write(
        self, state: State, cause: Item, covers: tuple[Item, ...], before_note: bool = False
    ) -> WriteContact:
        self.contact = replace(self.contact, pending=state, pending_event=cause.event_id)
        return WriteContact(covers, before_note)

    def _done(self, items: Sequence[Item], where: list[Item]) -> None:
        # What is done is always what stands first.
        where.extend(items)
        del self.waiting[: len(items)]
        self._one_by_one = max(0, self._one_by_one - len(items))

    def _refuse(self, error: CrmError) -> None:
        self.refused.append((self.waiting.pop(0), error))
        self._one_by_one = max(0, self._one_by_one - 1)
        self._gone = False

    def _wait(self, failed: Iterable[Item], error: CrmError) -> None:
        self.error = error
        self.failed = list(failed)
        self.behind = self.waiting[len(self.failed) :]
        self.waiting = []
