"""Decides opt-outs and opt-ins, and the STOP and START words that amount to them.

A refusal is one of an address: every lead of the tenant that is reached there is told of it, in
its own partition of the log, for a sequencer knows nothing of addresses and the dispatcher's fence
waits for the partition of the lead it is about to write to. A permission is the word of those who
gave it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from intake import facts
from intake.matching import found
from intake.model import (
    CHANNELS,
    OPT_OUT,
    PHONE_CHANNELS,
    Decision,
    Known,
    Lead,
    Prepared,
    Refusal,
    address_key,
)
from intake.normalize import consent
from intake.normalize.fields import line, text
from leadflow.errors import RecordRefused
from leadflow.records import ConsentChanged, ConsentGrant, LeadRecord, RawEvent

OPT_IN = "opt-in"

Meant = tuple[Lead, tuple[str, ...]]
"""A lead and the channels on which a wish is about it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """What a person asked for: to be left alone on channels, or to be written to again."""

    granted: bool
    channels: tuple[str, ...]
    keyword: str | None = None
    evidence: str | None = None


def decide_opt(known: Known, prepared: Prepared, now: datetime) -> Decision:
    """An opt_out or opt_in.

    An opt-out of somebody unknown is remembered by address, so that an import which brings the
    address later finds it refused; the raw event itself ends in the dead-letter topic.
    """
    raw, payload = prepared.raw, prepared.payload
    granted = raw.kind == "opt_in"
    wish = Wish(
        granted=granted,
        channels=_channels(prepared, granted),
        keyword=line(payload, "keyword"),
        evidence=text(payload, "evidence"),
    )
    leads = found(known, prepared)
    changed = apply(wish, [(lead, wish.channels) for lead in leads], known, prepared, now)
    if leads:
        return changed
    return replace(changed, error=RecordRefused("unknown_lead", f"{raw.kind} of nobody known"))


def apply(
    wish: Wish, meant: Sequence[Meant], known: Known, prepared: Prepared, now: datetime
) -> Decision:
    """The wish, carried out on every lead that was meant, and a refusal on all behind the same
    addresses."""
    raw = prepared.raw
    given = _given_addresses(prepared)
    records: list[LeadRecord] = []
    addresses = {
        Refusal(raw.tenant_id, channel, address)
        for channel in wish.channels
        if (address := given[_kind(channel)])
    }
    direct = {lead.lead_id for lead, _ in meant}
    after: list[Lead] = []
    for lead, wanted in meant if wish.granted else _with_sharers(wish, meant, known, given, raw):
        channels = [channel for channel in wanted if not _is_late(wish, lead, channel, raw)]
        for channel in channels:
            from_ = given[_kind(channel)] if lead.lead_id in direct else None
            records.extend(_changed(wish, lead, channel, from_, raw, now))
            if address := lead.address_for(channel):
                key = address_key(raw.tenant_id, channel, address)
                addresses.add(Refusal(raw.tenant_id, channel, key.value))
        lead = replace(lead, consent=_consent(wish, lead, channels, raw.occurred_at))
        if not channels:  # an opt-in from before an opt-out: noted, and without effect
            lead = replace(lead, revision=lead.revision + 1)
            records.append(facts.updated(lead, raw, now))
            addresses.clear()
        after.append(lead)
    ordered = tuple(sorted(addresses))
    return Decision(
        leads=tuple(after),
        refused=() if wish.granted else ordered,
        allowed=ordered if wish.granted else (),
        records=tuple(records),
    )


def _with_sharers(
    wish: Wish, meant: Sequence[Meant], known: Known, given: Mapping[str, str | None], raw: RawEvent
) -> list[Meant]:
    """Those who were meant, then the other leads that are reached at one of their addresses, or at
    the one that the wish came from: each on the channels of the addresses that it shares."""
    leads = {lead.lead_id: lead for lead, _ in meant}
    channels = {lead.lead_id: set(wanted) for lead, wanted in meant}
    for channel in CHANNELS:
        shared = {
            own for lead, wanted in meant if channel in wanted if (own := lead.address_for(channel))
        }
        if channel in wish.channels and (address := given[_kind(channel)]):
            shared.add(address)
        for key in sorted({address_key(raw.tenant_id, channel, each) for each in shared}):
            for other in known.by(key):
                own = other.address_for(channel)
                if own is not None and address_key(raw.tenant_id, channel, own) == key:
                    leads.setdefault(other.lead_id, other)
                    channels.setdefault(other.lead_id, set()).add(channel)
    return [
        (lead, tuple(channel for channel in CHANNELS if channel in channels[lead_id]))
        for lead_id, lead in leads.items()
    ]


def _kind(channel: str) -> str:
    return "email" if channel == "email" else "phone"


def _channels(prepared: Prepared, granted: bool) -> tuple[str, ...]:
    """The channels meant. Not named, a refusal is read widely and a permission narrowly."""
    channel = (line(prepared.payload, "channel") or "").lower()
    if channel in CHANNELS:
        return (channel,)
    if channel == "all":
        return CHANNELS
    if channel:
        raise RecordRefused("unknown_channel", "channel takes email, sms, call, whatsapp or all")
    kinds = {key.kind for key in prepared.keys}
    if "email" in kinds:
        return ("email",)
    if "phone" in kinds:
        return ("sms",) if granted else PHONE_CHANNELS
    if granted:
        raise RecordRefused("missing_field", "an opt_in of a lead needs its channel")
    return CHANNELS


def _given_addresses(prepared: Prepared) -> dict[str, str | None]:
    by_kind = {key.kind: key.value for key in prepared.keys}
    return {"email": by_kind.get("email"), "phone": by_kind.get("phone")}


def _is_late(wish: Wish, lead: Lead, channel: str, raw: RawEvent) -> bool:
    """Whether an opt-in was given before the opt-out that is known."""
    known = lead.grant(channel)
    return (
        wish.granted
        and known is not None
        and consent.is_opt_out(known)
        and known.at is not None
        and raw.occurred_at < known.at
    )


def _consent(
    wish: Wish, lead: Lead, channels: Iterable[str], at: datetime
) -> tuple[ConsentGrant, ...]:
    if not wish.granted:
        return consent.withdrawn(lead.consent, channels, at)
    by_channel = {grant.channel: grant for grant in lead.consent}
    for channel in channels:
        by_channel[channel] = ConsentGrant(
            channel=channel, granted=True, basis=OPT_IN, text=wish.evidence, at=at
        )
    return consent.in_order(by_channel)


def _changed(
    wish: Wish,
    lead: Lead,
    channel: str,
    address: str | None,
    raw: RawEvent,
    now: datetime,
) -> list[ConsentChanged]:
    """A refusal from another address than the lead's is about both: who says stop from an alias
    means the mails that come to the other."""
    own = lead.address_for(channel)
    # As the lead's own profile writes it, so that it equals the recipient of its messages.
    if own is not None and address in (None, address_key(raw.tenant_id, channel, own).value):
        address = own
    about = [address] if wish.granted or own in (None, address) else [own, address]
    return [
        ConsentChanged(
            **facts.frame(ConsentChanged, lead.lead_id, lead.owner, raw, now, channel, *also),
            channel=channel,
            granted=wish.granted,
            address=each,
            basis=OPT_IN if wish.granted else OPT_OUT,
            keyword=wish.keyword,
            evidence=wish.evidence,
        )
        for each, also in zip(about, ((), ("also",)), strict=False)
    ]
