"""The CRM: a contact is its last write, its history every write, a key or note counts once."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from sandbox.crm import Crm
from sandbox.errors import Full, KeyConflict, Malformed, Unknown

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def crm(capacity: int = 100) -> Crm:
    return Crm(capacity, "run")


def test_the_first_write_creates_and_the_next_replaces_under_the_same_id() -> None:
    store = crm()
    first = store.upsert("lead-1", {"stage": "new", "owner": "ada"}, None, NOW)
    second = store.upsert("lead-1", {"stage": "won"}, None, NOW)
    assert (first.created, second.created) == (True, False)
    assert first.id == second.id
    assert store.contact("lead-1").writes[-1].contact == b'{"stage":"won"}'


def test_history_holds_every_value_in_the_order_written() -> None:
    store = crm()
    for version in (1, 3, 2):
        store.upsert("lead-1", {"version": version}, f"k{version}", NOW)
    written = [write.contact for write in store.contact("lead-1").writes]
    assert written == [b'{"version":1}', b'{"version":3}', b'{"version":2}']


def test_a_repeated_key_gives_the_first_answer_and_writes_nothing() -> None:
    store = crm()
    first = store.upsert("lead-1", {"stage": "new"}, "k", NOW)
    store.upsert("lead-1", {"stage": "won"}, "k2", NOW)
    again = store.upsert("lead-1", {"stage": "new"}, "k", NOW)
    assert (again.id, again.created, again.replayed) == (first.id, True, True)
    assert store.contact("lead-1").writes[-1].contact == b'{"stage":"won"}'
    assert store.counts() == {"contacts": 1, "notes": 0, "tasks": 0, "writes": 2}


@pytest.mark.parametrize(
    ("external_id", "stage"), [("lead-1", "won"), ("lead-2", "new")], ids=["value", "contact"]
)
def test_a_used_key_with_another_value_or_contact_is_a_conflict(
    external_id: str, stage: str
) -> None:
    store = crm()
    store.upsert("lead-1", {"stage": "new"}, "k", NOW)
    with pytest.raises(KeyConflict):
        store.upsert(external_id, {"stage": stage}, "k", NOW)
    assert store.counts()["writes"] == 1


def test_a_note_is_written_once_even_when_a_retry_stamps_it_anew() -> None:
    store = crm()
    store.upsert("lead-1", {}, None, NOW)
    assert store.add_note("lead-1", {"note_id": "n", "text": "Called", "at": "10:00"}, NOW)
    assert not store.add_note("lead-1", {"note_id": "n", "text": "Called", "at": "10:05"}, NOW)
    assert [note.at for note in store.contact("lead-1").notes.values()] == ["10:00"]
    with pytest.raises(KeyConflict):
        store.add_note("lead-1", {"note_id": "n", "text": "Something else"}, NOW)


def test_a_note_needs_its_contact() -> None:
    with pytest.raises(Unknown, match="lead-1"):
        crm().add_note("lead-1", {"note_id": "n", "text": "Called"}, NOW)


@pytest.mark.parametrize("note", [{}, {"note_id": "n"}, {"note_id": "n", "text": 1}])
def test_a_note_needs_an_id_and_a_text(note: dict[str, object]) -> None:
    store = crm()
    store.upsert("lead-1", {}, None, NOW)
    with pytest.raises(Malformed):
        store.add_note("lead-1", note, NOW)


def test_pages_follow_the_order_of_creation() -> None:
    store = crm()
    for number in range(5):
        store.upsert(f"lead-{number}", {}, None, NOW)
    store.upsert("lead-0", {"again": True}, None, NOW)
    total, page = store.page(1, 2)
    assert (total, [contact.external_id for contact in page]) == (5, ["lead-1", "lead-2"])


def test_past_the_capacity_writes_and_notes_are_refused_but_replays_are_not() -> None:
    store = crm(capacity=2)
    store.upsert("lead-1", {}, "k", NOW)
    store.add_note("lead-1", {"note_id": "n", "text": "Called"}, NOW)
    with pytest.raises(Full):
        store.upsert("lead-1", {"stage": "won"}, None, NOW)
    with pytest.raises(Full):
        store.add_note("lead-1", {"note_id": "m", "text": "Called"}, NOW)
    assert store.upsert("lead-1", {}, "k", NOW).replayed
    assert not store.add_note("lead-1", {"note_id": "n", "text": "Called"}, NOW)


def test_an_external_id_that_no_path_can_name_is_malformed() -> None:
    with pytest.raises(Malformed, match="slash"):
        crm().upsert("a/b", {}, None, NOW)


def test_a_task_is_written_once() -> None:
    store = crm()
    store.upsert("lead-1", {}, None, NOW)
    task = {"task_id": "t", "title": "Call Ada"}
    assert store.add_task("lead-1", task, NOW)
    assert not store.add_task("lead-1", task, NOW)
    assert store.counts()["tasks"] == 1
    with pytest.raises(Unknown):
        store.add_task("lead-2", task, NOW)
