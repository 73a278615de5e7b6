"""Who a sighting is: same external id; else same e-mail; else same phone and similar name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from intake.model import ACTIVE, Key, Known, Lead, Prepared
from intake.normalize.names import similar


class Match(NamedTuple):
    lead: Lead
    rule: str  # external_id, email or phone_name


def match(known: Known, prepared: Prepared, *, suspect: bool) -> Match | None:
    """The lead that a sighting belongs to.

    A clean sighting joins a quarantined lead only by its external id: spam that named
    somebody's address must not swallow them when they come themselves.
    """
    sighting = prepared.seen
    for key in prepared.keys:
        leads = known.by(key)
        if key.kind == "external_id":
            if leads:
                return Match(leads[0], "external_id")
            continue
        candidates = [lead for lead in leads if suspect or lead.status == ACTIVE]
        candidates.sort(key=lambda lead: lead.status != ACTIVE)
        if key.kind == "email" and candidates:
            return Match(candidates[0], "email")
        if key.kind == "phone":
            name = (sighting.first_name, sighting.last_name)
            alike = [
                lead for lead in candidates if similar((lead.first_name, lead.last_name), name)
            ]
            if alike:
                alike.sort(key=_is_nameless)
                return Match(alike[0], "phone_name")
    return None


def _is_nameless(lead: Lead) -> bool:
    return not (lead.first_name or lead.last_name)


def found(known: Known, prepared: Prepared) -> tuple[Lead, ...]:
    """The leads behind the first key that has any: active ones, or quarantined if no other."""
    return behind(known, prepared.keys)


def behind(known: Known, keys: Iterable[Key]) -> tuple[Lead, ...]:
    """`found`, for some of an event's keys."""
    for key in keys:
        if leads := known.by(key):
            return tuple(lead for lead in leads if lead.status == ACTIVE) or leads
    return ()


def newest(leads: Sequence[Lead]) -> Lead:
    """The lead that was seen last."""
    return max(leads, key=lambda lead: (lead.seen_at, lead.lead_id))
