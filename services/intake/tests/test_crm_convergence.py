"""Changes on both sides, told late, twice and in any order, end with the newest value a field.

At each tick somebody changes one field: in the log, which decides at once and writes it into the
CRM, or in the CRM, where it replaces what the log had written; intake is told of that at some later
time. There are few values, so that they come back. Stages, which not every other leads to, have
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


def value(field: str, tick: int) -> str:
    """What somebody sets at a tick."""
    word = "abc"[tick % 3]
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
    told = {field: {"value": value(field, tick), "was": getattr(lead, field), "at": at}}
    payload = {"lead": lead.lead_id, "provider": "hubspot", "account_id": "a", "fields": told}
    return raw("crm_change", field, tick, payload)


def in_log(lead: Lead, field: str, tick: int) -> RawEvent:
    return raw("lead", field, tick, {"email": lead.email, field: value(field, tick)})


class Intake:
    def __init__(self) -> None:
        self.book = Book()
        self.taken: list[RawEvent] = []
        self.records: list[Any] = []
        self.take(raw("lead", "all", 0, {field: value(field, 0) for field in FIELDS}))

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
        return value(field, max(tick for _, tick in self.setting(field)))

    def owner(self) -> str:
        """The CRM's last, unless the log was given another after it had heard of that."""
        came = self.setting("owner")
        last = max((each for each in came if each[0] == "crm_change"), default=None)
        since = came if last is None else came[came.index(last) :]
        *_, tick = [tick for kind, tick in since if kind == "lead" or (kind, tick) == last]
        return value("owner", tick)

    def setting(self, field: str) -> list[tuple[str, int]]:
        """Kind and tick of the events that set a field, as they came."""
        told = [each.event_id.split(" ") for each in self.taken]
        return [(kind, int(tick)) for kind, name, tick in told if name in (field, "all")]


changes = st.lists(
    st.tuples(st.sampled_from([in_log, in_crm]), st.sampled_from(FIELDS)), max_size=10
)


@settings(max_examples=200)
@given(changes, st.data())
def test_the_newest_of_every_field_stands_and_the_crms_last_owner(
    timeline: list[Any], data: st.DataObject
) -> None:
    intake = Intake()
    untold: list[RawEvent] = []
    for tick, (where, field) in enumerate(timeline, start=1):
        event = where(intake.lead, field, tick)
        if where is in_crm:
            untold += [event] * data.draw(st.sampled_from([1, 2]), label="times told")
        elif getattr(intake.lead, field) != value(field, tick):
            intake.take(event)
        untold = data.draw(st.permutations(untold), label="order")
        arrived = data.draw(st.integers(0, len(untold)), label="arrived")
        for event in untold[:arrived]:
            intake.take(event)
        untold = untold[arrived:]
    for event in untold:
        intake.take(event)
    for field in FIELDS:
        expected = intake.owner() if field == "owner" else intake.newest(field)
        assert getattr(intake.lead, field) == expected, field

    again = Intake()
    for event in intake.taken:
        again.take(event)
    assert (again.lead, again.records) == (intake.lead, intake.records), "a replay is the same"
