import json
from pathlib import Path

import pytest

from leadflow_cli.errors import CliError
from leadflow_cli.expected import Expected

LEADS = {
    "received": 5,
    "counts": {"normalized": 2, "merged": 1, "quarantined": 1, "dlq": 1},
    "active_leads_after": {"acme": 1, "north": 1},
    "same_person": [["lead-1", "dup-1"]],
    "events": {
        "lead-1": "normalized",
        "lead-2": "normalized",
        "dup-1": "merged",
        "spam-1": "quarantined",
        "line:5": "dlq",
    },
}
REPLIES = {
    "received": 1,
    "counts": {"normalized": 1, "merged": 0, "quarantined": 0, "dlq": 0},
    "active_leads_after": {"acme": 2, "north": 1},
    "same_person": [],
    "events": {"reply-1": "normalized"},
}
DOCUMENT = {"leads.jsonl": LEADS, "replies.jsonl": REPLIES}
FATES = {
    "lead-1": "normalized",
    "lead-2": "normalized",
    "dup-1": "merged",
    "spam-1": "quarantined",
    "3:17": "dlq",
}


@pytest.fixture
def leads() -> Expected:
    expected = Expected.of(DOCUMENT, ["leads.jsonl"])
    assert expected is not None
    return expected


def test_what_came_as_expected_differs_in_nothing(leads: Expected) -> None:
    assert leads.differences(FATES) == []


def test_which_of_one_person_came_first_does_not_matter(leads: Expected) -> None:
    assert leads.differences(FATES | {"lead-1": "merged", "dup-1": "normalized"}) == []


def test_two_leads_made_of_one_person_are_told(leads: Expected) -> None:
    assert leads.differences(FATES | {"dup-1": "normalized"}) == [
        "3 are normalized, 2 should be",
        "0 are merged, 1 should be",
        "of lead-1, dup-1 one should be normalized and the others merged: 2 normalized",
    ]


def test_an_event_that_came_otherwise_is_told_even_where_the_counts_agree(leads: Expected) -> None:
    swapped = FATES | {"lead-2": "quarantined", "spam-1": "normalized"}
    assert leads.differences(swapped) == [
        "lead-2 is quarantined, and should be normalized",
        "spam-1 is normalized, and should be quarantined",
    ]


def test_a_missing_event_is_told(leads: Expected) -> None:
    fates = {event: fate for event, fate in FATES.items() if event != "3:17"}
    assert leads.differences(fates) == [
        "4 raw events were received, 5 are in the files",
        "0 are dlq, 1 should be",
    ]


def test_files_sent_one_after_the_other_add_up() -> None:
    both = Expected.of(DOCUMENT, ["leads.jsonl", "replies.jsonl"])
    assert both is not None
    assert both.received == 6
    assert both.counts["normalized"] == 3
    assert both.active_leads == 3
    assert both.differences(FATES | {"reply-1": "normalized"}) == []


def test_of_other_files_nothing_is_expected(tmp_path: Path) -> None:
    mine = tmp_path / "mine.jsonl"
    assert Expected.read([mine]) is None
    (tmp_path / "expected.json").write_text(json.dumps(DOCUMENT))
    assert Expected.read([mine]) is None
    assert Expected.read([tmp_path / "leads.jsonl", mine]) is None
    assert Expected.read([tmp_path / "leads.jsonl"]) is not None


def test_a_broken_expectation_names_its_file(tmp_path: Path) -> None:
    (tmp_path / "expected.json").write_text('{"leads.jsonl": {}}')
    with pytest.raises(CliError, match=r"expected\.json cannot be read"):
        Expected.read([tmp_path / "leads.jsonl"])


def test_the_shipped_demo_is_accounted_for() -> None:
    folder = Path(__file__).resolve().parents[2] / "demo"
    files = [folder / "leads.jsonl", folder / "followups.jsonl"]
    expected = Expected.read(files)
    assert expected is not None
    lines = sum(len(file.read_text().splitlines()) for file in files)
    assert expected.received == lines == sum(expected.counts.values()) == len(expected.events)
    assert lines >= 200
