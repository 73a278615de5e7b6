"""The way of one lead's records into the CRM, call by call."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

from crm_sync.crm.base import CrmMissing, CrmNever, CrmUnavailable
from crm_sync.decide import contact_fields
from crm_sync.model import Contact, Upsert
from crm_sync.work import LeadWork, WriteContact, WriteNote


def work_of(*items: Any, contact: Contact | None = None) -> LeadWork:
    return LeadWork(contact or Contact("lead-1", "acme"), list(items))


def pending(work: LeadWork) -> dict[str, Any]:
    assert work.contact.pending is not None
    return contact_fields("acme", work.contact.pending)


def test_changes_that_stand_together_are_one_write_of_their_end_state(
    records: Any, item: Any
) -> None:
    items = [
        item(records.created(1, first_name="Ada")),
        item(records.updated(2)),
        item(records.qualified()),
    ]
    work = work_of(*items)
    assert work.next_call() == WriteContact(tuple(items))
    assert pending(work)["temperature"] == "hot"
    assert "first_name" not in pending(work)
    work.succeeded(WriteContact(tuple(items)), "crm-7")
    assert work.next_call() is None
    assert (work.written, work.contact.crm_id, work.contact.pending) == (items, "crm-7", None)


def test_a_write_of_unknown_outcome_comes_first_and_under_its_old_key(
    records: Any, item: Any
) -> None:
    first = work_of(item(records.created(1, first_name="Ada")))
    first.next_call()
    crashed = first.contact
    later = work_of(item(records.updated(2, first_name="Grace")), contact=crashed)
    call = later.next_call()
    assert call == WriteContact(())
    assert (later.contact.pending, later.contact.pending_event) == (crashed.pending, "e1")
    later.succeeded(WriteContact(()), "crm-7")
    assert later.next_call() == WriteContact(tuple(later.waiting))
    assert pending(later)["first_name"] == "Grace"


def test_what_the_crm_has_already_is_no_call(records: Any, item: Any) -> None:
    record = item(records.created())
    done = work_of(record)
    call = done.next_call()
    assert call is not None
    done.succeeded(call, "crm-7")
    again = work_of(record, contact=done.contact)
    assert again.next_call() is None
    assert again.unchanged == [record]


def again(item: Any, event_id: str) -> Any:
    return replace(item, event_id=event_id, change=Upsert({}, again=True))


def test_what_is_to_be_written_again_is_a_call_under_a_key_of_its_own(
    records: Any, item: Any
) -> None:
    record = item(records.created(first_name="Ada"))
    done = work_of(record)
    call = done.next_call()
    assert call is not None
    done.succeeded(call, "crm-7")
    repair = again(record, "repair-1")
    work = work_of(repair, record, contact=done.contact)
    assert work.next_call() == WriteContact((repair, record))
    assert work.contact.pending_event == "repair-1"
    assert pending(work)["first_name"] == "Ada"
    work.succeeded(WriteContact((repair, record)), "crm-8")
    assert work.next_call() is None
    assert (work.written, work.contact.crm_id) == ([repair, record], "crm-8")
    assert work.contact.state == done.contact.state


def test_a_contact_without_a_profile_is_not_written_again_either(records: Any, item: Any) -> None:
    qualified = item(records.qualified())
    repair = again(qualified, "repair-1")
    work = work_of(qualified, repair)
    assert work.next_call() is None
    assert work.unchanged == [qualified, repair]


def test_what_is_known_before_the_profile_waits_for_it_without_a_call(
    records: Any, item: Any
) -> None:
    work = work_of(item(records.qualified()))
    assert work.next_call() is None
    later = work_of(item(records.created()), contact=work.contact)
    assert isinstance(later.next_call(), WriteContact)
    assert pending(later)["temperature"] == "hot"


def test_a_refused_write_of_several_changes_is_repeated_one_by_one(records: Any, item: Any) -> None:
    good, bad, last = items = [
        item(records.created(1)),
        item(records.qualified("cold")),
        item(records.sent("m1")),
    ]
    work = work_of(*items)
    call = work.next_call()
    assert call is not None
    work.failed_with(call, CrmNever("422"))
    calls = []
    for outcome in ("crm-7", CrmNever("422"), "crm-7"):
        call = work.next_call()
        assert isinstance(call, WriteContact)
        calls.append(call.covers)
        if isinstance(outcome, str):
            work.succeeded(call, outcome)
        else:
            work.failed_with(call, outcome)
    assert work.next_call() is None
    assert calls == [(good,), (bad,), (last,)]
    assert (work.written, [refused for refused, _ in work.refused]) == ([good, last], [bad])
    assert "temperature" not in contact_fields("acme", work.contact.state)
    assert contact_fields("acme", work.contact.state)["last_message_id"] == "m1"


def test_what_follows_a_write_that_was_repeated_one_by_one_stands_together_again(
    records: Any, item: Any
) -> None:
    created, bad, worse, note, *rest = (
        item(records.created()),
        item(records.qualified()),
        item(records.stage(2, "contacted")),
        item(records.reviewed("approved", "words")),
        item(records.sent("m1")),
        item(records.updated(3)),
    )
    work = work_of(created, bad, worse, note, *rest)
    calls = []
    while (call := work.next_call()) is not None:
        calls.append(call)
        if isinstance(call, WriteContact) and (bad in call.covers or worse in call.covers):
            work.failed_with(call, CrmNever("422"))
        else:
            work.succeeded(call, "crm-7")
    assert calls == [
        *(WriteContact(each) for each in [(created, bad, worse), (created,), (bad,), (worse,)]),
        WriteNote(note, note.change),
        WriteContact(tuple(rest)),
    ]


def test_a_refused_write_of_unknown_outcome_is_over_and_takes_no_record_along(
    records: Any, item: Any
) -> None:
    first = work_of(item(records.created(1, first_name="Ada")))
    first.next_call()
    record = item(records.updated(2, first_name="Grace"))
    later = work_of(record, contact=first.contact)
    call = later.next_call()
    assert call == WriteContact(())
    later.failed_with(call, CrmNever("422"))
    assert later.refused == []
    assert later.next_call() == WriteContact((record,))


def test_after_a_failure_that_may_pass_the_rest_waits_behind(records: Any, item: Any) -> None:
    contact_change, note, later = (
        item(records.created()),
        item(records.reviewed("approved", "words")),
        item(records.qualified()),
    )
    work = work_of(contact_change, note, later)
    call = work.next_call()
    assert call is not None
    work.failed_with(call, CrmUnavailable("500"))
    assert work.next_call() is None
    assert (work.failed, work.behind) == ([contact_change], [note, later])
    assert work.contact.pending is not None


def test_a_note_comes_after_its_contact_and_before_later_changes(records: Any, item: Any) -> None:
    created, note, later = (
        item(records.created()),
        item(records.reviewed("approved", "words")),
        item(records.qualified()),
    )
    work = work_of(created, note, later)
    seen = []
    while (call := work.next_call()) is not None:
        seen.append(call)
        work.succeeded(call, "crm-7")
    assert seen == [WriteContact((created,)), WriteNote(note, note.change), WriteContact((later,))]


def test_a_note_without_a_contact_creates_one(records: Any, item: Any) -> None:
    note = item(records.reviewed("approved", "words"))
    work = work_of(note)
    call = work.next_call()
    assert call == WriteContact((), before_note=True)
    assert pending(work) == {"tenant_id": "acme"}
    work.succeeded(call, "crm-7")
    assert work.next_call() == WriteNote(note, note.change)


def test_a_note_whose_contact_is_refused_is_refused_with_it(records: Any, item: Any) -> None:
    note, later = item(records.reviewed("approved", "words")), item(records.created())
    work = work_of(note, later)
    call = work.next_call()
    assert call == WriteContact((), before_note=True)
    refusal = CrmNever("422")
    work.failed_with(call, refusal)
    assert work.refused == [(note, refusal)]
    assert work.contact.pending is None
    # Nothing is left of it: what follows is next, and not the same contact again.
    assert work.next_call() == WriteContact((later,))


def test_a_task_comes_after_its_contact_too(records: Any, item: Any) -> None:
    created, task = item(records.created()), item(records.recorded("task"))
    work = work_of(created, task)
    seen = []
    while (call := work.next_call()) is not None:
        seen.append(call)
        work.succeeded(call, "crm-7")
    assert seen == [WriteContact((created,)), WriteNote(task, task.change)]


def test_a_note_whose_contact_was_deleted_writes_it_again_once(records: Any, item: Any) -> None:
    note = item(records.reviewed("approved", "words"))
    work = work_of(note, contact=Contact("lead-1", "acme", crm_id="crm-7"))
    first = work.next_call()
    assert isinstance(first, WriteNote)
    work.failed_with(first, CrmMissing("404"))
    again = work.next_call()
    assert again == WriteContact((), before_note=True)
    work.succeeded(again, "crm-8")
    second = work.next_call()
    assert isinstance(second, WriteNote)
    work.failed_with(second, CrmMissing("404"))
    assert work.next_call() is None
    assert [refused for refused, _ in work.refused] == [note]


def test_a_refused_note_does_not_hold_up_what_follows(records: Any, item: Any) -> None:
    note, later = item(records.reviewed("approved", "words")), item(records.created())
    work = work_of(note, later, contact=Contact("lead-1", "acme", crm_id="crm-7"))
    call = work.next_call()
    assert call is not None
    work.failed_with(call, CrmNever("422"))
    assert work.next_call() == WriteContact((later,))


def test_an_older_change_is_not_written(records: Any, item: Any) -> None:
    newer = work_of(item(records.sent("m2", records.now)), item(records.created()))
    call = newer.next_call()
    assert call is not None
    newer.succeeded(call, "crm-7")
    older = item(records.sent("m1", records.now - timedelta(minutes=1)))
    work = work_of(older, contact=newer.contact)
    assert work.next_call() is None
    assert work.unchanged == [older]
