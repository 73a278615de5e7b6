"""Whether the CRM is what the log says, lead by lead. Pure.

What a lead should be in the CRM is folded from its records as in `decide`, records that ended in
the dead letters left out; what its row says beyond that has been written meanwhile. Of each lead
at most one finding, the first of these that holds:

    waiting     the lead is parked: it is tried again                             (no drift)
    under_way   a write is under way right now                                    (no drift)
    pending     a write whose outcome nobody knows, left behind by a worker
    missing     the CRM lacks the contact, or it was never written to this account
    behind      the row lacks what crm-sync has read
    older       the CRM has an earlier revision of the lead
    differs     the CRM has other values in the same revision: somebody changed them
    noticed     the same two, and the CRM told of a change that nobody has looked at yet (no drift)
    unwritable  the account's mapping has no words for it
    dead        something of it is among the dead letters                         (no drift)
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from crm_sync.crm.base import CrmNever, Kept
from crm_sync.decide import contact_fields, item_of, merge
from crm_sync.model import PROFILE, Account, Contact, Item, Origin, State, Upsert
from leadflow import ids
from leadflow.errors import RecordRefused
from leadflow.records import LeadRecord, Record

WAITING, UNDER_WAY, PENDING = "waiting", "under_way", "pending"
MISSING, BEHIND = "missing", "behind"
OLDER, DIFFERS, NOTICED = "older", "differs", "noticed"
UNWRITABLE, DEAD = "unwritable", "dead"
DRIFT = (PENDING, MISSING, BEHIND, OLDER, DIFFERS, UNWRITABLE)
REPAIRED_BY_A_WRITE = (PENDING, MISSING, BEHIND, OLDER, DIFFERS)

NOWHERE = Origin("", -1, -1)


@dataclass(slots=True)
class Folded:
    """What the log says of a lead. `refused` are groups of fields of its dead letters, `lost`
    whether a note or a task is among them."""

    tenant_id: str
    state: State = field(default_factory=dict)
    refused: State = field(default_factory=dict)
    lost: bool = False


@dataclass(frozen=True, slots=True)
class Seen:
    """How a lead stands: its row, whether it is parked, whether its pending write was left behind,
    and what the CRM has; `found` is None where it lacks the contact."""

    contact: Contact | None
    waits: bool = False
    left_behind: bool = False
    found: Kept | None = None


@dataclass(frozen=True, slots=True)
class Finding:
    """A lead that is not what the log says. `fields` are the CRM's names, with what they should be
    and what they are."""

    kind: str
    tenant_id: str
    account_id: str
    lead_id: str
    fields: Mapping[str, tuple[Any, Any]] = field(default_factory=dict)

    @property
    def is_drift(self) -> bool:
        return self.kind in DRIFT


def fold(folded: dict[str, Folded], record: Record, dead: Collection[str]) -> None:
    """Add a record; `dead` are the ids of those in the dead letters."""
    if not isinstance(record, LeadRecord):
        return
    try:
        item = item_of(record, NOWHERE)
    except RecordRefused:
        folded.setdefault(record.lead_id, Folded(record.tenant_id)).lost = True
        return
    if item is None:
        return
    lead = folded.setdefault(item.lead_id, Folded(item.tenant_id))
    refused = item.event_id in dead
    if not isinstance(item.change, Upsert):
        lead.lost = lead.lost or refused
    elif refused:
        lead.refused = merge(lead.refused, [item.change])
    else:
        lead.state = merge(lead.state, [item.change])


def wanted(lead: Folded, contact: Contact | None) -> State:
    """The lead as it should be: what the log says, and what was written since it was read."""
    return lead.state if contact is None else merge(contact.state, [Upsert(lead.state)])


def judge(
    lead_id: str,
    lead: Folded,
    account_id: str,
    seen: Seen,
    kept: Callable[[Mapping[str, Any]], Kept],
    *,
    readable: bool = True,
) -> Finding | None:
    """What is wrong with a lead; None where nothing is. `kept` is the CRM's; where that is not
    `readable`, what was written is all that can be compared."""
    kind, fields = _judged(lead, seen, kept, readable=readable)
    if kind is None and _is_among_the_dead(lead, wanted(lead, seen.contact)):
        kind = DEAD
    return None if kind is None else Finding(kind, lead.tenant_id, account_id, lead_id, fields)


def _judged(
    lead: Folded, seen: Seen, kept: Callable[[Mapping[str, Any]], Kept], *, readable: bool
) -> tuple[str | None, dict[str, tuple[Any, Any]]]:
    contact, state = seen.contact, wanted(lead, seen.contact)
    if seen.waits:
        return WAITING, {}
    if contact is not None and contact.pending is not None:
        return (PENDING if seen.left_behind else UNDER_WAY), {}
    written = contact is not None and contact.crm_id is not None
    if PROFILE not in state and not written:
        return None, {}
    try:
        value = kept(contact_fields(lead.tenant_id, state))
    except CrmNever:
        return UNWRITABLE, {}
    if (not written) if not readable else seen.found is None:
        return MISSING, {}
    found = value if seen.found is None else seen.found
    fields = {
        name: (should, found.get(name))
        for name, should in value.items()
        if found.get(name) != should
    }
    if contact is None or state != contact.state:
        return BEHIND, fields
    if not fields:
        return None, {}
    return (OLDER if _is_older(fields) else DIFFERS), fields


def _is_older(fields: Mapping[str, tuple[Any, Any]]) -> bool:
    """By the lead's revision, a field of ours that each CRM has under a name of its own."""
    for name, (should, is_) in fields.items():
        if name.lower().endswith("revision") and str(should).isdigit() and str(is_).isdigit():
            return int(str(is_)) < int(str(should))
    return False


def _is_among_the_dead(lead: Folded, state: State) -> bool:
    return lead.lost or merge(state, [Upsert(lead.refused)]) is not state


def repair_of(finding: Finding, lead: Folded, contact: Contact | None, account: Account) -> Item:
    """What writes the lead again. Each version of its row has a repair of its own, so that the
    same one seen again is a repeat, and one for a later drift is not."""
    version = 0 if contact is None else contact.version
    return Item(
        event_id=ids.derived_id("crm-repair", finding.account_id, finding.lead_id, version),
        tenant_id=finding.tenant_id,
        lead_id=finding.lead_id,
        what="Repair",
        origin=NOWHERE,
        change=Upsert(wanted(lead, contact), again=True),
        account=account,
    )
