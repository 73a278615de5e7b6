"""Where a step's message goes, on which basis, and with which values for its template."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from leadflow.records import SequencePublished
from leadflow.tenants import Tenant
from rendering.variables import LEAD_VARIABLES
from sequencer.decide import calendar
from sequencer.model import Consent, LeadRow, Setting

FOR_PEOPLE = frozenset({"call", "task"})
NEEDS_GRANT = frozenset({"sms", "whatsapp"})
UNASSIGNED = "unassigned"


@dataclass(frozen=True, slots=True)
class Recipient:
    """An address, and why it may be written to."""

    address: str
    basis: str


@dataclass(frozen=True, slots=True)
class Nobody:
    """The rule that keeps the message from being sent to anybody."""

    rule: str
    looked_at: dict[str, object]


def find(
    row: LeadRow, sequence: SequencePublished, channel: str, setting: Setting, now: datetime
) -> Recipient | Nobody:
    """Calls and tasks are for the owner. E-mail needs that nobody refused it; SMS and WhatsApp,
    and every channel of a sequence with the rule channel_opt_in, need a granted consent."""
    if channel in FOR_PEOPLE:
        return owner_of(row, setting.tenant(row.tenant_id), now)
    if channel == "email":
        address = row.profile.email or ""
    elif channel in NEEDS_GRANT:
        address = row.profile.phone or ""
    else:
        return Nobody("unknown_channel", {"channel": channel})
    word = last_word(row, channel)
    if word is not None and not word.granted:
        return Nobody("consent_refused", {"channel": word.channel, "basis": word.basis})
    if not address:
        return Nobody("no_recipient", {"channel": channel})
    if word is not None:
        return Recipient(address, f"consent {word.channel}: {word.basis or 'granted'}")
    if channel in NEEDS_GRANT or sequence.consent_rule == "channel_opt_in":
        return Nobody("consent_missing", {"channel": channel, "rule": sequence.consent_rule})
    return Recipient(address, "no refusal recorded")


def owner_of(row: LeadRow, tenant: Tenant, now: datetime) -> Recipient:
    """Who does the work: the owner, else the tenant's first; on days of absence the next of the
    tenant's owners who is there, or the absent one if nobody is."""
    owner = row.owner or (tenant.owners[0] if tenant.owners else UNASSIGNED)
    today = calendar.local_day(now, tenant.timezone)
    basis = "work for a person: nothing is sent to the lead"
    if not _is_absent(tenant, owner, today):
        return Recipient(owner, basis)
    place = tenant.owners.index(owner) + 1 if owner in tenant.owners else 0
    for other in (*tenant.owners[place:], *tenant.owners[:place]):
        if not _is_absent(tenant, other, today):
            return Recipient(other, f"{basis}; {owner} is absent")
    return Recipient(owner, f"{basis}; everybody is absent")


def _is_absent(tenant: Tenant, owner: str, day: date) -> bool:
    return any(each.owner == owner and each.first <= day <= each.last for each in tenant.absences)


def last_word(row: LeadRow, channel: str) -> Consent | None:
    """The newest word on the channel or on all channels; at the same moment a refusal wins."""
    words = [each for each in row.consent if each.channel in (channel, "all")]
    return max(words, key=lambda each: (each.at, not each.granted), default=None)


def variables(row: LeadRow, tenant: Tenant) -> dict[str, str]:
    """Values for the template, only those that there are: the lead's, and what the sender says of
    itself. The address to unsubscribe at is the dispatcher's to make."""
    values = {
        **{name: getattr(row.profile, name) for name in LEAD_VARIABLES},
        "agent": row.owner,
        "agent_phone": tenant.agent_phone,
        "tenant_name": tenant.name,
        "booking_link": tenant.booking_link,
        "postal_address": tenant.postal_address,
    }
    return {name: value for name, value in values.items() if value}
