"""A bulk job and its items as the API shows them. Pure."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import UTC
from typing import Any

from portal_api.reasons import because
from portal_api.views import person

ITEM_STATES = ("waiting", "requested", "done", "refused", "cancelled")
CSV_COLUMNS = ("lead_id", "enrollment_id", "owner", "rule", "inputs", "decided_by", "decided_at")
# What only a bulk job refuses; the rules of the sequencer have their words elsewhere.
WORDS = {
    "not_enrolled": "the lead is not in the sequence now",
    "already_active": "the lead is in it already",
    "not_carried_out": "the sequencer could not do it: {reason}",
    "unknown_lead": "there is no such lead among those that you may enroll",
}
PERSONAL = ("first_name", "last_name", "email", "phone", "stage")
# What a spreadsheet would take for a formula.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


def job(row: Mapping[str, Any], counts: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """A job with how far it is. `counts` are its lines of `store.bulk.counts`."""
    states: Counter[str] = Counter(dict.fromkeys(ITEM_STATES, 0))
    expected: Counter[str] = Counter({"done": 0, "refused": 0})
    refused: Counter[str] = Counter()
    rules: Counter[str] = Counter()
    goes_on: dict[str, Counter[str]] = {
        name: Counter() for name in ("plan_rule", "next_step", "skipped", "held_by")
    }
    for each in counts:
        if each["bulk_id"] != row["bulk_id"]:
            continue
        n = int(each["n"])
        states[each["state"]] += n
        expected[each["expected"]] += n
        if each["state"] == "refused":
            refused[each["rule"]] += n
        if each["expected"] == "refused":
            rules[each["expected_rule"]] += n
            continue
        for name, counted in goes_on.items():
            if each[name] is not None:
                counted[each[name]] += n
            elif name == "next_step" and each["plan_rule"] is not None:
                counted[""] += n
    return {
        "id": row["bulk_id"],
        **{
            name: row[name]
            for name in (
                "tenant_id", "sequence_id", "action", "from_version", "to_version", "chosen",
                "reason", "requested_by", "rate_per_minute", "state", "total", "created_at",
                "started_at", "cancelled_at", "cancelled_by", "finished_at",
            )
        },
        "expected": {
            **expected,
            "rules": dict(rules),
            "moves": dict(goes_on["plan_rule"]),
            "next_steps": dict(goes_on["next_step"]),
            "first_step_skipped": dict(goes_on["skipped"]),
            "held_by": dict(goes_on["held_by"]),
        },
        "counts": dict(states),
        "refused": dict(refused),
    }  # fmt: skip


def item(row: Mapping[str, Any], of: Mapping[str, Any]) -> dict[str, Any]:
    """One lead of the job `of`: what was expected, and what the sequencer said. Who the lead is
    stays untold if it is not one of those that the job may be about: anybody can name an id."""
    own = of["own_leads_of"]
    shown = row["lead_tenant_id"] == of["tenant_id"] and own in (None, row["lead_owner"])
    return {
        "lead_id": row["lead_id"],
        "lead": person(row if shown else {**row, **dict.fromkeys(PERSONAL)}),
        "enrollment_id": row["enrollment_id"],
        "event_id": row["event_id"],
        "expected": {
            "state": row["expected"],
            "rule": row["expected_rule"],
            "because": _because(row["expected_rule"], row["expected_inputs"]),
            "inputs": row["expected_inputs"],
            "plan": row["plan"],
        },
        "state": row["state"],
        "rule": row["rule"],
        "because": _because(row["rule"], row["inputs"]),
        "inputs": row["inputs"],
        "decided_by": row["decided_by"],
        "decided_at": row["decided_at"],
    }


def _because(rule: str | None, inputs: Mapping[str, str] | None) -> str | None:
    if rule is None:
        return None
    if rule in WORDS:
        return WORDS[rule].format_map({"reason": "", **(inputs or {})})
    return because(rule, inputs or {}, lambda at: f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC")


def csv_lines(rows: Iterable[Mapping[str, Any]], *, head: bool) -> str:
    """Refused items as CSV (RFC 4180), with the names of the columns first if `head`."""
    out = io.StringIO()
    writer = csv.writer(out)
    if head:
        writer.writerow(CSV_COLUMNS)
    for each in rows:
        writer.writerow([_cell(each[name]) for name in CSV_COLUMNS])
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return json.dumps(value, sort_keys=True)
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    told = str(value)
    return f"'{told}" if told.startswith(FORMULA) else told
