"""From a contact's row, the CRM's answer and its notices to what is compared, and back into our
words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from crm_sync.account_store import Registered
from crm_sync.compare import Change, Had, Heard, Look, Noticed
from crm_sync.crm.base import Crm, CrmNever, Kept
from crm_sync.crm.mapping import as_text
from crm_sync.decide import contact_fields
from crm_sync.model import Contact, State
from crm_sync.notice_store import Known, Notice


@dataclass(frozen=True, slots=True, kw_only=True)
class CrmChange:
    """What a person has set a field to, in our words: the first of `values` that the tenant has;
    none where the CRM's `word` is none of ours. `was` is what we had written, `version` that of
    the contact's row then."""

    tenant_id: str
    account_id: str
    provider: str
    lead_id: str
    crm_id: str
    field: str
    place: str
    word: str
    values: tuple[str, ...]
    was: str | None
    at: datetime
    heard: Heard
    version: int


def look_at(
    crm: Crm, known: Known, theirs: Kept | None, notices: Sequence[Notice], looked_at: datetime
) -> Look:
    """What is to be compared about one contact."""
    contact = known.contact
    base = _kept(crm, contact, contact.state)
    places = crm.both_ways
    if base is None:
        # The stage that we last wrote has no counterpart any more: nothing to compare with.
        places = {place: ours for place, ours in places.items() if ours != "stage"}
        base = _kept(crm, contact, contact.state, without="stage")
    pending = None
    if contact.pending is not None:
        pending = _kept(crm, contact, contact.pending) or _kept(
            crm, contact, contact.pending, without="stage"
        )
    return Look(
        places=places,
        base=base or {},
        pending=pending,
        theirs=theirs,
        noticed=[
            Noticed(place, each.value.strip(), each.at)
            for notice in notices
            for each in notice.changes
            if (place := crm.place(notice.object, each.name)) in places
        ],
        earlier=list(_earlier(crm, contact, places)),
        heard=known.heard,
        begun_at=known.begun_at,
        written_at=known.written_at,
        noticed_at=max(notice.noticed_at for notice in notices),
        looked_at=looked_at,
    )


def changes_of(
    crm: Crm, row: Registered, known: Known, found: Iterable[Change], theirs: Kept | None
) -> list[CrmChange]:
    """The changes in our words. An owner whom the mapping does not name is nobody of ours."""
    contact = known.contact
    written = contact_fields(contact.tenant_id, contact.state)
    changes = []
    for each in found:
        there = theirs is not None and as_text(theirs.get(each.place)) == each.word
        kept = theirs if theirs is not None and there else {each.place: each.word}
        values = crm.told(kept, each.place)
        if values or each.field == "stage":
            changes.append(
                CrmChange(
                    tenant_id=contact.tenant_id,
                    account_id=row.account_id,
                    provider=row.provider,
                    lead_id=contact.lead_id,
                    crm_id=contact.crm_id or contact.lead_id,
                    field=each.field,
                    place=each.place,
                    word=each.word,
                    values=values,
                    was=written.get(each.field),
                    at=each.at,
                    heard=Heard(each.until, each.word, each.at),
                    version=contact.version,
                )
            )
    return changes


def payload(change: CrmChange, pipeline: Sequence[str]) -> dict[str, Any]:
    """The payload of the raw event. Of stages that the CRM has one word for, the tenant's."""
    at = change.at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told: dict[str, Any] = {"value": None, "was": change.was, "at": at}
    if change.values:
        mine = [value for value in change.values if value in pipeline]
        told["value"] = mine[0] if mine and change.field == "stage" else change.values[0]
    else:
        told["unknown"] = change.word
    return {
        "lead": change.lead_id,
        "provider": change.provider,
        "account_id": change.account_id,
        "fields": {change.field: told},
    }


def _kept(crm: Crm, contact: Contact, state: State, without: str = "") -> Kept | None:
    """What the CRM has of a contact that was written with this; None where it cannot be said."""
    fields = contact_fields(contact.tenant_id, state)
    fields.pop(without, None)
    try:
        return crm.kept(fields)
    except CrmNever:
        return None


def _earlier(crm: Crm, contact: Contact, places: Mapping[str, str]) -> Iterable[Had]:
    for each in contact.earlier:
        try:
            kept = crm.kept({"tenant_id": contact.tenant_id, each.field: each.value})
        except CrmNever:
            continue
        for place, ours in places.items():
            if ours == each.field and (word := as_text(kept.get(place))):
                yield Had(place, word, each.until)
