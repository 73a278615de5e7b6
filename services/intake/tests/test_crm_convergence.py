"""Changes on both sides, told late, twice and in any order, end with the newest value a field.

At each tick somebody changes one field, to a value that nobody had before: in the log, which
decides at once and writes it into the CRM, or in the CRM, where it replaces what the log had
written; intake is told of that at some later time. Stages, which not every other leads to, have
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
    match field:
        case "email":
            return f"person{tick}@example.com"
        case "phone":
            return f"+1212555{100 + tick:04}"
        case _:
            return f"Name{chr(ord('a') + tick)}"


def raw(kind: str, tick: int, payload: dict[str, Any]) -> RawEvent:
    return RawEvent(
        event_id=f"{kind}{tick}",
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
    return raw("crm_change", tick, payload)


def in_log(lead: Lead, field: str, tick: int) -> RawEvent:
    return raw("lead", tick, {"email": lead.email, field: value(field, tick)})


class Intake:
    def __init__(self) -> None:
        self.book = Book()
        self.taken: list[RawEvent] = []
        self.records: list[Any] = []
        self.take(raw("lead", 0, {field: value(field, 0) for field in FIELDS}))

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
        return value(field, max(map(tick_of, self.setting(field))))

    def owner(self) -> str:
        """The CRM's last, unless the log was given another after it had heard of that."""
        ticks = [(each.kind, tick_of(each)) for each in self.setting("owner")]
        last = max((tick for kind, tick in ticks if kind == "crm_change"), default=None)
        since = ticks[ticks.index(("crm_change", last)) + 1 :] if last is not None else ticks
        in_the_log = [tick for kind, tick in since if kind == "lead"]
        return value("owner", in_the_log[-1] if in_the_log or last is None else last)

    def setting(self, field: str) -> list[RawEvent]:
        """The events that set a field, as they came."""
        return [
            each
            for each in self.taken
            if value(field, tick_of(each))
            in (
                (payload := json.loads(each.payload)).get(field),
                payload.get("fields", {}).get(field, {}).get("value"),
            )
        ]


def tick_of(event: RawEvent) -> int:
    return int(event.event_id.removeprefix(event.kind))


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
        if where is in_log:
            intake.take(event)
        else:
            untold += [event] * data.draw(st.sampled_from([1, 2]), label="times told")
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
