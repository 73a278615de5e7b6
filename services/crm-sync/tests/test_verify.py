"""What is wrong with a lead in the CRM, told apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from crm_sync.crm.base import CrmNever
from crm_sync.decide import contact_fields
from crm_sync.model import Account, Contact, Upsert
from crm_sync.verify import Finding, Folded, Seen, fold, judge, repair_of
from leadflow.records import LeadRecord


def folded(*records: LeadRecord, dead: frozenset[str] = frozenset()) -> Folded:
    leads: dict[str, Folded] = {}
    for record in records:
        fold(leads, record, dead)
    return leads["lead-1"]


def row(lead: Folded, **more: Any) -> Contact:
    return Contact("lead-1", "acme", version=3, state=lead.state, crm_id="crm-1", **more)


def as_is(fields: Mapping[str, Any]) -> Mapping[str, Any]:
    return fields


def judged(lead: Folded, seen: Seen, **more: Any) -> Finding | None:
    return judge("lead-1", lead, "default", seen, more.pop("kept", as_is), **more)


def kind(lead: Folded, seen: Seen, **more: Any) -> str | None:
    found = judged(lead, seen, **more)
    return None if found is None else found.kind


def in_crm(lead: Folded, **changed: Any) -> dict[str, Any]:
    return {**contact_fields("acme", lead.state), **changed}


def test_what_the_crm_has_and_more_is_no_finding(records: Any) -> None:
    lead = folded(records.created(first_name="Ada"), records.qualified())
    assert kind(lead, Seen(row(lead), found=in_crm(lead, hobby="chess"))) is None


def test_records_in_any_order_come_to_the_same(records: Any) -> None:
    told = [records.created(1), records.updated(2, first_name="Grace"), records.stage(3, "won")]
    assert folded(*told) == folded(*reversed(told))


def test_a_contact_that_the_crm_lacks_is_missing(records: Any) -> None:
    lead = folded(records.created())
    assert kind(lead, Seen(row(lead))) == "missing"


def test_a_contact_that_was_never_written_to_this_account_is_missing(records: Any) -> None:
    lead = folded(records.created())
    assert kind(lead, Seen(None)) == "missing"
    assert kind(lead, Seen(None), readable=False) == "missing"


def test_a_lead_without_a_profile_is_nobody_in_the_crm(records: Any) -> None:
    assert kind(folded(records.qualified()), Seen(None)) is None
    assert kind(folded(records.created(status="quarantined"), records.qualified()), Seen(None)) is (
        None
    )


def test_a_value_that_a_person_set_differs_and_is_named(records: Any) -> None:
    lead = folded(records.created(first_name="Ada"))
    found = judged(lead, Seen(row(lead), found=in_crm(lead, first_name="Eve")))
    assert found is not None
    assert (found.kind, found.is_drift) == ("differs", True)
    assert found.fields == {"first_name": ("Ada", "Eve")}


def test_an_earlier_revision_is_told_apart_whatever_the_crm_calls_it(records: Any) -> None:
    first = records.created(1, first_name="Ada")
    lead, before = folded(first, records.updated(2, first_name="Grace")), folded(first)
    assert kind(lead, Seen(row(lead), found=in_crm(before))) == "older"

    def kept(fields: Mapping[str, Any]) -> Mapping[str, Any]:
        return {f"contact.leadflow_{name}": str(value) for name, value in fields.items()}

    found = kept(in_crm(before))
    assert kind(lead, Seen(row(lead), found=found), kept=kept) == "older"


def test_a_row_that_lacks_what_was_read_is_behind_even_if_the_crm_does_not(records: Any) -> None:
    first, second = records.created(1), records.updated(2, first_name="Grace")
    lead = folded(first, second)
    behind = row(folded(first))
    assert kind(lead, Seen(behind, found=in_crm(lead))) == "behind"


def test_what_was_written_since_the_log_was_read_is_as_it_should_be(records: Any) -> None:
    first = records.created(1)
    lead, newer = folded(first), folded(first, records.updated(2, first_name="Grace"))
    assert kind(lead, Seen(row(newer), found=in_crm(newer))) is None
    assert kind(lead, Seen(row(newer), found=in_crm(lead))) == "older"


def test_what_waits_and_what_is_under_way_is_no_drift_and_what_was_left_behind_is(
    records: Any,
) -> None:
    lead = folded(records.created())
    contact = row(lead, pending=lead.state)
    waits, under_way = judged(lead, Seen(contact, waits=True)), judged(lead, Seen(contact))
    assert waits is not None
    assert under_way is not None
    assert (waits.kind, waits.is_drift) == ("waiting", False)
    assert (under_way.kind, under_way.is_drift) == ("under_way", False)
    assert kind(lead, Seen(contact, left_behind=True)) == "pending"


def test_what_the_crm_refused_is_among_the_dead_and_the_rest_is_compared(records: Any) -> None:
    first, refused = records.created(1, first_name="Ada"), records.stage(2, "won")
    lead = folded(first, refused, dead=frozenset({refused.event_id}))
    found = judged(lead, Seen(row(lead), found=in_crm(lead)))
    assert found is not None
    assert (found.kind, found.is_drift) == ("dead", False)
    assert in_crm(lead)["stage"] == "new"
    assert kind(lead, Seen(row(lead), found=in_crm(lead, first_name="Eve"))) == "differs"


def test_what_is_newer_than_a_dead_letter_makes_up_for_it(records: Any) -> None:
    refused, last = records.stage(2, "won"), records.updated(3)
    lead = folded(records.created(1), refused, last, dead=frozenset({refused.event_id}))
    assert kind(lead, Seen(row(lead), found=in_crm(lead))) is None


def test_a_note_among_the_dead_is_one_too(records: Any) -> None:
    note = records.reviewed("approved", "words")
    lead = folded(records.created(), note, dead=frozenset({note.event_id}))
    assert kind(lead, Seen(row(lead), found=in_crm(lead))) == "dead"
    unsigned = replace(records.reviewed("approved", "words"), text="other words")
    lead = folded(records.created(), unsigned)
    assert kind(lead, Seen(row(lead), found=in_crm(lead))) == "dead"


def test_what_the_mapping_has_no_words_for_cannot_be_written(records: Any) -> None:
    lead = folded(records.created())

    def kept(fields: Mapping[str, Any]) -> Mapping[str, Any]:
        raise CrmNever("the account's mapping has no stage for 'new'")

    assert kind(lead, Seen(row(lead), found={}), kept=kept) == "unwritable"


def test_of_a_crm_that_cannot_be_read_the_row_is_compared(records: Any) -> None:
    lead = folded(records.created())
    assert kind(lead, Seen(row(lead)), readable=False) is None
    assert kind(lead, Seen(row(Folded("acme"))), readable=False) == "behind"


def test_a_repair_writes_all_of_it_and_each_version_of_the_row_has_its_own(records: Any) -> None:
    lead = folded(records.created())
    finding = Finding("missing", "acme", "hubspot-1", "lead-1")
    account = Account("hubspot-1", "hubspot")
    first, again, later = (
        repair_of(finding, lead, replace(row(lead), version=version), account)
        for version in (3, 3, 4)
    )
    assert first.change == Upsert(lead.state, again=True)
    assert first == again
    assert first.event_id != later.event_id
