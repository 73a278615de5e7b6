"""Changes on both sides, told late, twice and in any order, end with the newest value a field.

At each tick somebody changes one field: at a source of the log, which tells of it in order, or in
the CRM, where it replaces what the log had written. Intake hears of either at some later time. In
the CRM there are few values, so that they come back. Stages, which not every other leads to, have
tests of their own.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from intake.book import Book
from intake.decide import decide
from intake.model import Lead
from intake.prepare import prepare
from leadflow.records import CrmChangeSettled, RawEvent
from leadflow.tenants import Tenant

START = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
END = START + timedelta(days=1)
FIELDS = ("owner", "email")
"""One for each rule, so that each is changed often."""
TENANT = Tenant(tenant_id="acme")


def value(field: str, word: str) -> str:
    return f"{word}@example.com" if field == "email" else f"Name{word}"


def raw(kind: str, field: str, tick: int, payload: dict[str, Any]) -> RawEvent:
    return RawEvent(
        event_id=f"{kind} {field} {tick}",
        tenant_id="acme",
        occurred_at=END if kind == "crm_change" else START + timedelta(minutes=tick),
        recorded_at=END,
        source="form" if kind == "lead" else "crm:hubspot",
        kind=kind,
        external_id="1",
        payload=json.dumps(payload),
    )


def in_crm(lead: Lead, field: str, tick: int) -> RawEvent:
    at = (START + timedelta(minutes=tick)).isoformat()
    now = value(field, "abc"[tick % 3])
    told = {field: {"value": now, "was": getattr(lead, field), "at": at}}
    payload = {"lead": lead.lead_id, "provider": "hubspot", "account_id": "a", "fields": told}
    return raw("crm_change", field, tick, payload)


def in_log(lead: Lead, field: str, tick: int) -> RawEvent:
    return raw("lead", field, tick, {"message": "hi", field: value(field, f"x{tick}")})


def said(event: RawEvent, field: str) -> str:
    payload = json.loads(event.payload)
    found: str = payload[field] if event.kind == "lead" else payload["fields"][field]["value"]
    return found


def tick_of(event: RawEvent) -> int:
    return int(event.event_id.rpartition(" ")[2])


class Intake:
    def __init__(self) -> None:
        self.book = Book()
        self.taken: list[RawEvent] = []
        self.records: list[Any] = []
        self.take(raw("lead", "all", 0, {field: value(field, "a") for field in FIELDS}))

    def take(self, event: RawEvent) -> None:
        """As the handler does: what was decided about an event is not decided again."""
        if event in self.taken:
            return
        self.taken.append(event)
        prepared = prepare(event, TENANT)
        decision = decide(self.book.known(prepared), prepared, TENANT, END)
        self.book.apply(decision)
        self.records += decision.records
        if event.kind == "crm_change":
            self.repeat(event)

    def repeat(self, event: RawEvent) -> None:
        """What crm-sync, restarted, tells once more under another id changes nothing."""
        prepared = prepare(replace(event, event_id="again"), TENANT)
        decision = decide(self.book.known(prepared), prepared, TENANT, END)
        assert decision.leads == (self.lead,)
        assert [type(each) for each in decision.records] == [CrmChangeSettled]

    @property
    def lead(self) -> Lead:
        (lead,) = self.book.changes.leads.values()
        return lead

    def newest(self, field: str) -> str:
        """The value of a field that was set last."""
        return said(max(self.setting(field), key=tick_of), field)

    def owner(self) -> str:
        """The CRM's last, unless the log was given a newer one after it had heard of that."""
        came = self.setting("owner")
        told = [each for each in came if each.kind == "crm_change"]
        last = max(told, key=tick_of, default=came[0])
        newer = [
            each
            for each in came[came.index(last) :]
            if each.kind == "lead" and tick_of(each) > tick_of(last)
        ]
        return said([last, *newer][-1], "owner")

    def setting(self, field: str) -> list[RawEvent]:
        """The events that set a field, as they came."""
        return [each for each in self.taken if each.event_id.split(" ")[1] in (field, "all")]


changes = st.lists(
    st.tuples(st.sampled_from([in_log, in_crm]), st.sampled_from(FIELDS)), max_size=10
)


@settings(max_examples=200)
@given(changes, st.data())
def test_the_newest_of_every_field_stands_and_the_crms_last_owner(
    timeline: list[Any], data: st.DataObject
) -> None:
    intake = Intake()
    source: list[RawEvent] = []
    crm: list[RawEvent] = []
    for tick, (where, field) in enumerate(timeline, start=1):
        event = where(intake.lead, field, tick)
        if where is in_log:
            source.append(event)
        else:
            crm += [event] * data.draw(st.sampled_from([1, 2]), label="times told")
        crm = data.draw(st.permutations(crm), label="order")
        for queue in data.draw(st.permutations([source, crm]), label="first"):
            for _ in range(data.draw(st.integers(0, len(queue)), label="arrived")):
                intake.take(queue.pop(0))
    for event in data.draw(st.sampled_from([[*source, *crm], [*crm, *source]]), label="last"):
        intake.take(event)
    for field in FIELDS:
        expected = intake.owner() if field == "owner" else intake.newest(field)
        assert getattr(intake.lead, field) == expected, field

    again = Intake()
    for event in intake.taken:
        again.take(event)
    assert (again.lead, again.records) == (intake.lead, intake.records), "a replay is the same"
