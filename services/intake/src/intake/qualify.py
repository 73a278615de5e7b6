"""Qualification by rules: fit to the tenant's ideal customer, and intent, both 0 to 100.

| fit | points |
|---|---|
| service: one of the tenant's / the tenant names none / not said / another | 40 / 20 / 10 / 0 |
| budget: reaches the tenant's minimum / not said / below | 30 / 10 / 0 |
| area: inside the tenant's / the tenant names none or not said / outside | 10 / 10 / 0 |
| reachable by e-mail and phone / by one of them / not | 20 / 10 / 0 |

| intent | points |
|---|---|
| urgency: urgent / high / normal / low | 40 / 30 / 15 / 0 |
| asked for a quote, or called | 25 |
| gave a phone number | 10 |
| wrote 40 characters or more | 10 |
| named a budget | 10 |
| allowed a channel | 10 |

Hot: fit 60 and intent 70 or more. Warm: fit 40 and intent 35 or more. Cold: the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from intake.model import Lead
from intake.normalize.money import minor_digits
from leadflow.records import Reason
from leadflow.tenants import Tenant

Approach = Literal["lead", "quote_request", "call_missed"]
Points = tuple[int, str]

NEXT_ACTIONS = {
    "hot": "Call now: the owner makes the first contact in person.",
    "warm": "Answer today and offer two times for a call.",
    "cold": "Leave it to the first-touch sequence; look again when the lead answers.",
}
URGENCY_POINTS = {"urgent": 40, "high": 30, "normal": 15, "low": 0}
LONG_MESSAGE = 40


@dataclass(frozen=True, slots=True, kw_only=True)
class Qualification:
    """Scores with their reasons; `temperature` is hot, warm or cold."""

    fit: int
    intent: int
    temperature: str
    reasons: tuple[Reason, ...]
    next_action: str


def qualify(lead: Lead, approach: Approach, tenant: Tenant) -> Qualification:
    """Judge a lead by what is known of it and how it came."""
    fit = [
        ("service", service_points(lead.service, tenant.services)),
        ("budget", _budget(lead, tenant)),
        ("area", _area(lead, tenant)),
        ("reachable", _reachable(lead)),
    ]
    intent = [
        ("urgency", (URGENCY_POINTS.get(lead.urgency, 0), lead.urgency)),
        ("approach", _approach(approach)),
        ("phone_given", (10, "gave a number") if lead.phone else (0, "no number")),
        ("message", _message(lead.message)),
        ("budget_named", (10, "named a budget") if lead.budget else (0, "no budget")),
        ("consent", _consent(lead)),
    ]
    fit_score = min(100, sum(points for _, (points, _) in fit))
    intent_score = min(100, sum(points for _, (points, _) in intent))
    temperature = temperature_of(fit_score, intent_score)
    return Qualification(
        fit=fit_score,
        intent=intent_score,
        temperature=temperature,
        reasons=tuple(
            Reason(rule=f"{score}.{rule}", points=points, note=note)
            for score, rules in (("fit", fit), ("intent", intent))
            for rule, (points, note) in rules
        ),
        next_action=NEXT_ACTIONS[temperature],
    )


def temperature_of(fit: int, intent: int) -> str:
    """hot, warm or cold."""
    if fit >= 60 and intent >= 70:
        return "hot"
    return "warm" if fit >= 40 and intent >= 35 else "cold"


@lru_cache(maxsize=10_000)
def service_points(service: str | None, offered: tuple[str, ...]) -> Points:
    """A service fits when it has every word of one that the tenant offers, or spells it in
    another way (check-up, checkup); a plural is the same word."""
    if service is None:
        return 10, "no service named"
    if not offered:
        return 20, "the tenant names no services"
    asked = _words(service)
    for each in offered:
        wanted = _words(each)
        if set(wanted) <= set(asked) or "".join(wanted) in "".join(asked):
            return 40, f"asks for {each}"
    return 0, "asks for another service"


def _words(text: str) -> list[str]:
    return [word.removesuffix("s") for word in re.findall(r"\w+", text.lower())]


def _budget(lead: Lead, tenant: Tenant) -> Points:
    if lead.budget is None:
        return 10, "no budget named"
    if lead.budget.currency != tenant.currency:
        return 10, "a budget in another currency"
    minimum = tenant.minimum_budget * 10 ** minor_digits(tenant.currency)
    if lead.budget.amount_minor >= minimum:
        return 30, "the budget reaches the minimum"
    return 0, "the budget is below the minimum"


def _area(lead: Lead, tenant: Tenant) -> Points:
    region = lead.address.region if lead.address is not None else None
    if not tenant.service_regions or region is None:
        return 10, "no area to compare"
    if region in tenant.service_regions:
        return 10, "inside the area served"
    return 0, "outside the area served"


def _reachable(lead: Lead) -> Points:
    ways = (lead.email is not None) + (lead.phone is not None)
    return (0, 10, 20)[ways], f"{ways} ways to reach the lead"


def _approach(approach: Approach) -> Points:
    notes = {"quote_request": "asked for a quote", "call_missed": "called"}
    note = notes.get(approach)
    return (25, note) if note else (0, "left contact details")


def _message(message: str | None) -> Points:
    length = len(message or "")
    return (10 if length >= LONG_MESSAGE else 0), f"{length} characters"


def _consent(lead: Lead) -> Points:
    if any(grant.granted for grant in lead.consent):
        return 10, "allowed a channel"
    return 0, "allowed no channel"
