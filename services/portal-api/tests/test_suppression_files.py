"""Lists as CSV: RFC 4180, and what spreadsheets make of it."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal_api.suppression.files import Listed, NoList, header, line, read, refusals

NOW = datetime(2026, 11, 21, 9, tzinfo=UTC)


def listed(text: str, **more: Any) -> Listed:
    return read(text.encode(), region="US", now=NOW, **more)


def test_a_character_that_nobody_sees_is_no_part_of_an_address() -> None:
    """Found by hand: the list showed `nb@example.com`, and nb@example.com was written to."""
    found = listed("email\n\u200bvic@example.com\nnb\u00ad@example.com\nx@exa\u2800mple.com\n")
    assert [row.place.address for row in found.rows] == ["vic@example.com", "nb@example.com"]
    assert [(each.line, each.why) for each in found.refused] == [
        (4, "this is no e-mail address"),
    ]


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_columns_are_found_by_name_whatever_stands_between_them(delimiter: str) -> None:
    text = "name,Email Address,status\r\nAnn,Ann@Example.com,unsubscribed\r\n"
    (row,) = listed(text.replace(",", delimiter)).rows
    assert (row.place.address, row.reason, row.line) == ("ann@example.com", "opt_out", 2)


def test_what_a_line_does_not_say_is_what_the_import_says() -> None:
    (row,) = listed("phone\n5125550142\n", channel="sms", reason="opt_out").rows
    assert (row.place.channel, row.reason, row.at) == ("sms", "opt_out", None)


def test_a_line_with_a_line_break_in_quotes_is_one_line() -> None:
    found = listed('address,note\na@example.com,"two\nlines"\nb@example.com,\n')
    assert [(row.place.address, row.note) for row in found.rows] == [
        ("a@example.com", "two\nlines"),
        ("b@example.com", ""),
    ]


def test_each_line_that_cannot_be_taken_is_refused_with_its_number_and_the_reason() -> None:
    found = listed(
        "address,reason,time\nx,,\na@example.com,weather,\nb@example.com,,yesterday\n"
        "c@example.com,,2027-01-01\nd@example.com,,2026-01-01\n"
    )
    assert [each.line for each in found.refused] == [2, 3, 4, 5]
    assert [row.place.address for row in found.rows] == ["d@example.com"]
    assert found.rows[0].at == datetime(2026, 1, 1, tzinfo=UTC)
    told = list(csv.DictReader(io.StringIO(refusals(vars_of(found)))))
    assert told[3] == {
        "line": "5",
        "address": "c@example.com",
        "why": "the time is still to come",
    }


def vars_of(found: Listed) -> list[dict[str, Any]]:
    return [{"line": each.line, "address": each.address, "why": each.why} for each in found.refused]


@pytest.mark.parametrize(
    "data", [b"", b"name\n", b"address\n\xff", b"a\x00ddress\n", b"address\n" + b"x" * 5_000_001]
)
def test_what_is_no_list_is_refused_as_a_whole(data: bytes) -> None:
    with pytest.raises(NoList):
        read(data, region="US", now=NOW)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    for head in (b"", b"address,note\n"):
        try:
            found = read(head + data, region="US", now=NOW)
        except NoList:
            continue
        assert len(found.rows) <= 3 * found.lines


@pytest.mark.parametrize("note", ["=1+1", "+1-2", "-cmd", "@SUM(A1)", "\t=1"])
def test_no_cell_of_an_export_is_a_formula(note: str) -> None:
    """OWASP, "CSV Injection": a cell that begins with = + - @ tab or CR."""
    entry = {
        "channel": "sms",
        "address": "+15125550142",
        "reason": "manual",
        "changed_at": NOW,
        "source": "portal",
        "changed_by": "priya",
        "note": note,
        "active": True,
    }
    (row,) = csv.DictReader(io.StringIO(header() + line(entry)))
    assert row["note"] == f"'{note}"
    # A number is a number, and is taken again.
    assert row["address"] == "+15125550142"
    assert listed(header() + line(entry)).refused == ()


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_an_address_and_a_number_of_one_line_are_both_taken(delimiter: str) -> None:
    text = "email,phone\na@example.com,+15125550142\n,+15125550143\nnobody,+15125550144\n"
    found = listed(text.replace(",", delimiter), reason="opt_out")
    taken = [(row.line, row.place.channel, row.place.address) for row in found.rows]
    assert taken == [
        (2, "email", "a@example.com"),
        *((2, channel, "+15125550142") for channel in ("sms", "whatsapp", "call")),
        *((3, channel, "+15125550143") for channel in ("sms", "whatsapp", "call")),
        *((4, channel, "+15125550144") for channel in ("sms", "whatsapp", "call")),
    ]
    assert [(each.line, each.address) for each in found.refused] == [(4, "nobody")]


def test_columns_that_say_nothing_to_us_are_named() -> None:
    assert listed("email,name,city\na@example.com,Ann,Austin\n").ignored == ("name", "city")
    assert listed(header()).ignored == ()


@pytest.mark.parametrize("column", ["chanel", "adress", "reasons", "notess"])
def test_a_column_whose_name_is_misspelt_is_refused(column: str) -> None:
    with pytest.raises(NoList, match=column):
        listed(f"email,{column}\na@example.com,sms\n")


def test_a_line_with_more_cells_than_there_are_columns_is_refused() -> None:
    found = listed("email\na@example.com,b@example.com\nc@example.com,\n")
    assert [each.line for each in found.refused] == [2]
    assert [row.place.address for row in found.rows] == ["c@example.com"]


def test_a_quote_that_is_never_closed_is_no_csv() -> None:
    with pytest.raises(NoList, match="no CSV"):
        listed('email\n"a@example.com')


@given(
    address=st.from_regex(r"[=+\-'a-z|][=+\-'a-z|]{0,8}@[a-z]{1,8}\.[a-z]{2,3}", fullmatch=True),
    note=st.text(
        alphabet=st.characters(exclude_characters="\x00", exclude_categories=("Cs",)), max_size=9
    ).map(str.strip),
)
def test_what_was_exported_is_imported_as_it_was(address: str, note: str) -> None:
    entry = {
        "channel": "email",
        "address": address,
        "reason": "complaint",
        "changed_at": NOW,
        "source": "portal",
        "changed_by": "priya",
        "note": note,
        "active": True,
    }
    found = listed(header() + line(entry))
    assert found.refused == ()
    (row,) = found.rows
    assert (row.place.channel, row.place.address, row.reason, row.note, row.at) == (
        "email",
        address,
        "complaint",
        note,
        NOW,
    )
    lifted = listed(header() + line({**entry, "active": False}))
    assert lifted.rows == ()
    assert len(lifted.refused) == 1
