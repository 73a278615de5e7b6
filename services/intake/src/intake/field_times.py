"""When each of a lead's fields that go both ways was set, whatever kind of event set it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from intake.model import BOTH_WAYS, Decision, Known, Lead, Prepared

Times = Mapping[str, datetime]


def stamped(decision: Decision, known: Known, prepared: Prepared) -> Decision:
    """The decision, with the time of the event at every field that it changed or brought."""
    before = {lead.lead_id: lead for leads in known.leads.values() for lead in leads}
    return replace(
        decision,
        leads=tuple(_stamped(lead, before.get(lead.lead_id), prepared) for lead in decision.leads),
    )


def _stamped(lead: Lead, before: Lead | None, prepared: Prepared) -> Lead:
    changed = {
        name: prepared.set_at(name)
        for name in BOTH_WAYS
        if getattr(lead, name) != (None if before is None else getattr(before, name))
    }
    return replace(lead, set_at={**lead.set_at, **changed}) if changed else lead


def to_json(lead: Lead) -> str:
    """As the database keeps them; `from_json` reads it."""
    times = {"set": lead.set_at, "told": lead.told_at}
    return json.dumps(
        {
            which: {name: at.isoformat() for name, at in given.items()}
            for which, given in times.items()
        },
        separators=(",", ":"),
    )


def from_json(text: str) -> tuple[Times, Times]:
    """`set_at` and `told_at` of a lead; empty for one that was last saved before they were kept."""
    times = json.loads(text)
    set_at, told_at = (
        {name: datetime.fromisoformat(at) for name, at in times.get(which, {}).items()}
        for which in ("set", "told")
    )
    return set_at, told_at
