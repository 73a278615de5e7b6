"""Rows as bytes."""

from typing import Any

import pytest

from leadflow.errors import Malformed
from sequencer import rowcodec


def a_row(story: Any, words: Any) -> Any:
    story.publish("one", words.step("hello"), words.step("later", 60))
    story.publish("two", words.step("hello"))
    story.when("LeadCreated", last_name="Lovelace", service="roof")
    story.when("ConsentChanged", 1, channel="sms", granted=True, basis="START")
    story.when("LeadQualified", 2)
    return story.row


def test_a_row_comes_back_as_it_went_in(story: Any, words: Any) -> None:
    row = a_row(story, words)
    assert row.live
    assert row.finished
    assert row.applied
    assert rowcodec.decode(words.LEAD.encode(), rowcodec.encode(row)) == row


def test_the_header_says_when_the_next_step_is_due(story: Any, words: Any) -> None:
    data = rowcodec.encode(a_row(story, words))
    assert rowcodec.header(data) == (1, rowcodec.to_ms(words.at(60)), False)
    story.pause("everything")
    story.passes(60)
    assert rowcodec.header(rowcodec.encode(story.row)) == (1, 0, True)


@pytest.mark.parametrize("broken", [b"", b"\x01", b"\x02" + bytes(9), b"\x01" + bytes(9) + b"\xff"])
def test_bytes_that_are_no_row_say_so(broken: bytes) -> None:
    with pytest.raises(Malformed):
        rowcodec.decode(b"lead", broken)


def test_a_usual_row_is_small(story: Any, words: Any) -> None:
    assert len(rowcodec.encode(a_row(story, words))) < 400
