"""A service is killed in the middle of the demo's leads and started again: nothing is lost,
nothing is doubled. The expected counts are those of demo/expected.json, written by hand from
the rules, and of a run in which nobody is killed."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from leadflow.records import (
    LeadCreated,
    LeadUpdated,
    MessageHeld,
    MessageQueued,
    MessageRecorded,
    MessageSent,
    Record,
)

pytestmark = pytest.mark.integration

DEMO = Path(__file__).resolve().parents[2] / "demo"
ORIGINAL = "acme-roofing"


def leads_for(tenant: str) -> list[dict[str, Any]]:
    """The demo's leads of its larger tenant, readable ones, as another tenant's."""
    events = []
    for line in (DEMO / "leads.jsonl").read_text().splitlines():
        try:
            event = json.loads(line)
        except ValueError:
            continue
        if event.get("tenant_id") == ORIGINAL and isinstance(event.get("payload"), dict):
            events.append(
                event | {"tenant_id": tenant, "event_id": f"{tenant}/{event['event_id']}"}
            )
    return events


def expected_outcomes(events: list[dict[str, Any]]) -> Counter[str]:
    outcomes = json.loads((DEMO / "expected.json").read_text())["leads.jsonl"]["events"]
    return Counter(outcomes[event["event_id"].partition("/")[2]] for event in events)


Stories = dict[str, frozenset[tuple[str, ...]]]


@dataclass(frozen=True)
class Result:
    """What became of one tenant's leads, each thing counted once by its id.

    `stories` says for each raw event that made a lead, by the event's id in the demo, what was
    decided about that lead. Persons who come in more than once are left out of it: which of
    their sightings is the first is not fixed, only that there is one.
    """

    outcomes: Counter[str]
    queued: frozenset[str]
    sent: frozenset[str]
    recorded: frozenset[str]
    stories: Stories


def result(system: Any, tenant: str) -> Result:
    outcomes: dict[str, str] = {}
    causes: dict[str, set[str]] = defaultdict(set)
    for record in system.log.records("lead-events", tenant=tenant):
        causes[record.lead_id].add(record.cause_id.partition("/")[2])
        if isinstance(record, LeadCreated):
            outcomes[record.cause_id] = (
                "quarantined" if record.status == "quarantined" else "normalized"
            )
        elif isinstance(record, LeadUpdated) and record.duplicate_rule:
            outcomes.setdefault(record.cause_id, "merged")
        else:
            outcomes.setdefault(record.cause_id, "normalized")
    for read in system.log.read("intake-dlq"):
        try:
            event = json.loads(read.value or b"{}")
        except ValueError:
            continue  # what others buried; ours can be read
        if event.get("tenant_id") == tenant:
            outcomes[event["event_id"]] = "dlq"

    facts: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for topic in ("lead-events", "enrollment-events", "messages", "summaries", "message-events"):
        for record in system.log.records(topic, tenant=tenant):
            if isinstance(record, MessageHeld):
                continue  # it waited for what lead-events had to say: a matter of timing
            sequence = getattr(record, "sequence_id", None) or ""
            step = getattr(record, "step_id", None) or ""
            facts[record.lead_id].add((record.TYPE, sequence.partition(".")[2], step))

    def messages(topic: str, record_type: type[Record]) -> frozenset[str]:
        found = system.log.records(topic, record_type, tenant=tenant)
        return frozenset(each.message_id for each in found)

    return Result(
        outcomes=Counter(outcomes.values()),
        queued=messages("messages", MessageQueued),
        sent=messages("message-events", MessageSent),
        recorded=messages("message-events", MessageRecorded),
        stories={
            next(iter(causes[lead])): frozenset(told)
            for lead, told in facts.items()
            if len(causes[lead]) == 1
        },
    )


def differences(one: Stories, other: Stories) -> dict[str, frozenset[tuple[str, ...]]]:
    """What only one of them tells, by the event that made the lead."""
    nothing: frozenset[tuple[str, ...]] = frozenset()
    events = one.keys() | other.keys()
    found = {each: one.get(each, nothing) ^ other.get(each, nothing) for each in events}
    return {each: told for each, told in found.items() if told}


def settled(system: Any, tenant: str, wanted: Counter[str]) -> Callable[[], Result | None]:
    """The result, once every raw event has its outcome and every message has come to rest
    and nothing new has come between two looks."""
    last: list[Result] = []

    def look() -> Result | None:
        now = result(system, tenant)
        quiet = bool(last) and last[-1] == now
        last.append(now)
        done = now.outcomes.total() == wanted.total() and now.queued == now.sent | now.recorded
        return now if done and quiet and now.queued else None

    return look


@pytest.fixture(scope="module")
def undisturbed(system: Any) -> Result:
    events = leads_for("control")
    system.send(*events)
    wanted = expected_outcomes(events)
    found: Result = system.wait_until(
        settled(system, "control", wanted), "the leads that nobody disturbs come to rest"
    )
    assert found.outcomes == wanted
    return found


@pytest.mark.parametrize("victim", ["intake", "sequencer", "dispatcher", "crm-sync", "portal"])
def test_killing_a_service_changes_no_count_and_doubles_no_message(
    system: Any, undisturbed: Result, victim: str
) -> None:
    tenant = f"kill-{victim}"
    events = leads_for(tenant)
    half = len(events) // 2
    system.send(*events[:half])
    # Somewhere in the middle of them: some are through, some are under way.
    system.wait_until(
        lambda: system.log.records("lead-events", LeadCreated, tenant=tenant), "the first leads"
    )
    system.stack.kill(victim)
    system.send(*events[half:])
    system.stack.start(victim)

    wanted = expected_outcomes(events)
    found = system.wait_until(
        settled(system, tenant, wanted), f"everything rests after {victim} was killed"
    )
    assert found.outcomes == wanted
    assert differences(found.stories, undisturbed.stories) == {}
    acceptances = Counter(each["key"] for each in system.accepted())
    assert {key: acceptances[key] for key in found.sent} == dict.fromkeys(found.sent, 1)

    leads = {
        record.lead_id
        for record in system.log.records("lead-events", LeadCreated, tenant=tenant)
        if record.status == "active"
    }
    system.wait_until(
        lambda: leads <= crm_contacts(system), f"every lead is in the CRM after {victim} was killed"
    )
    with system.portal("admin", tenant) as portal:
        system.wait_until(
            lambda: portal_counts(portal) == {name: wanted[name] for name in SHOWN},
            f"the portal shows the same counts after {victim} was killed",
        )


def crm_contacts(system: Any) -> set[str]:
    found: set[str] = set()
    while True:
        page = system.sandbox.get("/crm/contacts", params={"offset": len(found), "limit": 5000})
        items = page.raise_for_status().json()["items"]
        if not items:
            return found
        found |= {item["external_id"] for item in items}


# A record that cannot be read belongs to no tenant: its dead letter is in nobody's share.
SHOWN = ("normalized", "merged", "quarantined")


def portal_counts(portal: httpx.Client) -> dict[str, int]:
    counts = portal.get("/api/v1/pipeline").raise_for_status().json()
    return {name: counts[name] for name in SHOWN}
