"""A summary by rules: what a client may read once a person has approved it.

The text names the person by first name and initial, and holds no address, number, mail or
word that the person wrote: those stay with the people who work on the lead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from intake.model import Lead
from intake.normalize.money import minor_digits
from intake.qualify import Qualification
from leadflow.records import Money
from leadflow.tenants import Tenant

URGENCY_WORDS = {
    "urgent": "It is urgent",
    "high": "It is wanted within days",
    "normal": "It is not pressing",
    "low": "There is no hurry",
}
LEGAL = re.compile(r"\b(lawyer|attorney|solicitor|sue|lawsuit|court|legal action)\b", re.I)
DANGER = re.compile(r"\b(injur\w*|bleeding|collaps\w*|gas leak|sparks?|electrocut\w*)\b", re.I)
# Instructions inside a lead's text are text; a person should know that they are there.
INSTRUCTIONS = re.compile(
    r"\b(ignore|disregard|forget) (all |any )?(the |your )?(previous|prior|above)\b"
    r"|\bsystem prompt\b|\byou are (now )?an? (ai|assistant)\b",
    re.I,
)


@dataclass(frozen=True, slots=True)
class Summary:
    """`risk_flags` are short codes for the person who reviews it."""

    text: str
    risk_flags: tuple[str, ...]


def summarize(
    lead: Lead, found: Qualification, source: str, tenant: Tenant, *, doubts: bool
) -> Summary:
    """Describe a lead in three sentences; `doubts`: a quality rule spoke against it."""
    sentences = [
        f"{_who(lead)} asks for {lead.service or 'a call back'}{_where(lead)}.",
        f"{URGENCY_WORDS.get(lead.urgency, URGENCY_WORDS['normal'])}{_budget(lead.budget)}.",
        f"Came through {source.replace('-', ' ')}; "
        f"{found.temperature} (fit {found.fit}, intent {found.intent}).",
    ]
    return Summary(" ".join(sentences), risk_flags(lead, found, tenant, doubts))


def risk_flags(lead: Lead, found: Qualification, tenant: Tenant, doubts: bool) -> tuple[str, ...]:
    """What a reviewer should look at before letting the summary out."""
    message = lead.message or ""
    zero = {reason.rule for reason in found.reasons if reason.points == 0}
    flags = {
        "no_consent_recorded": not lead.consent,
        "channel_refused": any(not grant.granted for grant in lead.consent),
        "unreachable": lead.email is None and lead.phone is None,
        "budget_below_minimum": "fit.budget" in zero,
        "outside_area": "fit.area" in zero,
        "quality_doubts": doubts,
        "legal_words": LEGAL.search(message) is not None,
        "danger_words": DANGER.search(message) is not None,
        "instructions_in_text": INSTRUCTIONS.search(message) is not None,
        "time_zone_unknown": lead.timezone_from == "utc",
        "other_language": lead.language not in (None, tenant.language),
    }
    return tuple(flag for flag, holds in flags.items() if holds)


def _who(lead: Lead) -> str:
    if lead.first_name and lead.last_name:
        return f"{lead.first_name} {lead.last_name[0]}."
    return lead.first_name or "A caller"


def _where(lead: Lead) -> str:
    if lead.address is None:
        return ""
    places = [place for place in (lead.address.city, lead.address.region) if place]
    return f" in {', '.join(places)}" if places else ""


def _budget(budget: Money | None) -> str:
    if budget is None:
        return ""
    digits = minor_digits(budget.currency)
    return f"; budget {budget.currency} {budget.amount_minor / 10**digits:,.0f}"
