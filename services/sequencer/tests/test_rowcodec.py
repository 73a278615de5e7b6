"""Rows as bytes."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from leadflow.errors import Malformed
from rendering.variables import LEAD_VARIABLES
from sequencer import rowcodec
from sequencer.model import KeptArm, ReadUpTo, Resent, digest


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
    assert rowcodec.header(data) == (rowcodec.VERSION, rowcodec.to_ms(words.at(60)), False)
    story.pause("everything")
    story.passes(60)
    assert rowcodec.header(rowcodec.encode(story.row)) == (rowcodec.VERSION, 0, True)


@pytest.mark.parametrize("broken", [b"", b"\x01", b"\x06" + bytes(9), b"\x04" + bytes(9) + b"\xff"])
def test_bytes_that_are_no_row_say_so(broken: bytes) -> None:
    with pytest.raises(Malformed):
        rowcodec.decode(b"lead", broken)


def test_a_usual_row_is_small(story: Any, words: Any) -> None:
    assert len(rowcodec.encode(a_row(story, words))) < 400


# Written by the program when rows had their first format.
FIRST_FORMAT = bytes.fromhex(
    "01000001a19bb39500000861636d65020864616e6118776562736974652d666f726d0c616374697665010206"
    "41646102104c6f76656c616365021e616461406578616d706c652e636f6d02182b3135313235353530313131"
    "00000208726f6f6600001e416d65726963612f4368696361676f0c6e6f726d616c02066e65770206686f7402"
    "06736d73010a5354415254c0c3ecb7b3680002b7a86a536aae53f7bec4aad993c5b6ba1061636d652e6f6e65"
    "0202809ae5b7b3680280d49cbbb368000000021061636d652e74776f02809ae5b7b36812636f6d706c657465"
    "640030d47f0dba738c0f9dad1163cf949c808cc8d000f92448b4b0"
)


def test_a_row_of_the_first_format_is_read_and_written_again_in_the_newest(
    story: Any, words: Any
) -> None:
    row = rowcodec.decode(words.LEAD.encode(), FIRST_FORMAT)
    assert (row.profile.last_name, row.stage, row.temperature) == ("Lovelace", "new", "hot")
    assert [each.sequence_id for each in row.live] == ["acme.one"]
    assert row.live[0].waits_for == ""
    assert row.sent == ()
    again = rowcodec.encode(row)
    assert rowcodec.header(again).version == rowcodec.VERSION
    assert rowcodec.decode(words.LEAD.encode(), again) == row


# Written by the program when rows had their second format.
SECOND_FORMAT = bytes.fromhex(
    "020000000000000000000861636d65020864616e6118776562736974652d666f726d0c616374697665010206"
    "41646102104c6f76656c616365021e616461406578616d706c652e636f6d02182b3135313235353530313131"
    "00000208726f6f6600001e416d65726963612f4368696361676f0c6e6f726d616c02066e65770206686f7402"
    "06736d73010a5354415254c0c3ecb7b3680002b7a86a536aae53f7bec4aad993c5b6ba1061636d652e6f6e65"
    "0202809ae5b7b3680480b9aeb8b36800000863616c6c02066f6c6400021868656c6c6f3a6f70656e65640000"
    "021061636d652e74776f02809ae5b7b36812636f6d706c657465640004809ae5b7b368809ae5b7b3680040d4"
    "7f0dba738c0f9dad1163cf949c808cc8d000f92448b4b0175aabd8415b70e9"
)


def test_a_row_of_the_second_format_is_read_and_written_again_in_the_newest(
    story: Any, words: Any
) -> None:
    row = rowcodec.decode(words.LEAD.encode(), SECOND_FORMAT)
    [live] = row.live
    assert (live.waits_for, live.passed, live.outcomes) == ("call", ("old",), ("hello:opened",))
    assert row.sent == (words.at(0), words.at(0))
    assert [(each.outcome, each.version) for each in row.finished] == [("completed", 0)]
    assert (row.responded_at, row.review_at, row.entries_before) == (None, None, 0)
    again = rowcodec.encode(row)
    assert rowcodec.header(again).version == rowcodec.VERSION
    assert rowcodec.decode(words.LEAD.encode(), again) == row


# Written by the program when rows had their third format.
THIRD_FORMAT = bytes.fromhex(
    "03000001a19bcf0c40000861636d65020864616e6118776562736974652d666f726d0c616374697665010206"
    "41646102104c6f76656c616365021e616461406578616d706c652e636f6d02182b3135313235353530313131"
    "00000208726f6f6600001e416d65726963612f4368696361676f0c6e6f726d616c02066e65770206686f7402"
    "06736d73010a5354415254c0c3ecb7b3680002b7a86a536aae53f7bec4aad993c5b6ba1061636d652e6f6e65"
    "0202809ae5b7b3680280d49cbbb3680c6d616e75616c000863616c6c02066f6c6400021868656c6c6f3a6f70"
    "656e65640000021061636d652e74776f02809ae5b7b36812636f6d706c6574656402000e80edf3b7b368c0c3"
    "ecb7b36880b1f8bcb368021661636d652e73696c656e740002809ae5b7b3680030d47f0dba738c0f9dad1163"
    "cf949c808cc8d000f92448b4b0"
)


def test_a_row_of_the_third_format_is_read_and_written_again_in_the_newest(
    story: Any, words: Any
) -> None:
    row = rowcodec.decode(words.LEAD.encode(), THIRD_FORMAT)
    [live] = row.live
    assert (live.paused_by, live.waits_for, live.due_at) == ("manual", "call", words.at(60))
    assert [(each.outcome, each.version) for each in row.finished] == [("completed", 1)]
    times = (row.touched_at, row.responded_at, row.review_at)
    assert times == (words.at(2), words.at(1), words.at(90))
    assert (row.entries_before, row.dormant_in, row.sent) == (7, ("acme.silent",), (words.at(0),))
    assert row.away_until is None
    again = rowcodec.encode(row)
    assert rowcodec.header(again).version == rowcodec.VERSION
    assert rowcodec.decode(words.LEAD.encode(), again) == row


# Written by the program when rows had their fourth format.
FOURTH_FORMAT = bytes.fromhex(
    "04000001a19bcf0c40000861636d65020864616e6118776562736974652d666f726d0c616374697665010206"
    "41646102104c6f76656c616365021e616461406578616d706c652e636f6d02182b3135313235353530313131"
    "00000208726f6f66021231204d61696e205374020c41757374696e1e416d65726963612f4368696361676f0c"
    "6e6f726d616c02066e65770206686f740206736d73010a5354415254c0c3ecb7b3680002b7a86a536aae53f7"
    "bec4aad993c5b6ba1061636d652e6f6e650202809ae5b7b3680280d49cbbb3680c6d616e75616c000863616c"
    "6c02066f6c6400021868656c6c6f3a6f70656e65640000021061636d652e74776f02809ae5b7b36812636f6d"
    "706c6574656402000e80edf3b7b368c0c3ecb7b36880b1f8bcb36880dda68ab468021661636d652e73696c65"
    "6e740002809ae5b7b3680030d47f0dba738c0f9dad1163cf949c808cc8d000f92448b4b0"
)


def test_a_row_of_the_fourth_format_is_read_and_written_again_in_the_newest(words: Any) -> None:
    row = rowcodec.decode(words.LEAD.encode(), FOURTH_FORMAT)
    profile = row.profile
    assert (profile.street, profile.city) == ("1 Main St", "Austin")
    assert (profile.region, profile.postal_code, profile.country) == (None, None, None)
    assert row.away_until == words.at(2) + timedelta(days=1)
    again = rowcodec.encode(row)
    assert rowcodec.header(again).version == rowcodec.VERSION
    assert rowcodec.decode(words.LEAD.encode(), again) == row


# Written by the program when rows had their fifth format.
FIFTH_FORMAT = bytes.fromhex(
    "05000001a19bcf0c40000861636d65020864616e6118776562736974652d666f726d0c616374697665010206"
    "41646102104c6f76656c616365021e616461406578616d706c652e636f6d02182b3135313235353530313131"
    "00000208726f6f66021231204d61696e205374020c41757374696e02045458020a373837303102045553001e"
    "416d65726963612f4368696361676f0c6e6f726d616c02066e65770206686f740206736d73010a5354415254"
    "c0c3ecb7b3680002b7a86a536aae53f7bec4aad993c5b6ba1061636d652e6f6e650202809ae5b7b3680280d4"
    "9cbbb3680c6d616e75616c000863616c6c02066f6c6400021868656c6c6f3a6f70656e65640000021061636d"
    "652e74776f02809ae5b7b36812636f6d706c6574656402000e80edf3b7b368c0c3ecb7b36880b1f8bcb36880"
    "dda68ab468021661636d652e73696c656e740002809ae5b7b3680030d47f0dba738c0f9dad1163cf949c808c"
    "c8d000f92448b4b0"
)


def test_a_row_of_the_fifth_format_is_read_and_written_again_in_the_newest(words: Any) -> None:
    row = rowcodec.decode(words.LEAD.encode(), FIFTH_FORMAT)
    profile = row.profile
    assert (profile.region, profile.postal_code, profile.country) == ("TX", "78701", "US")
    assert row.ahead == ()
    again = rowcodec.encode(row)
    assert rowcodec.header(again).version == rowcodec.VERSION
    assert rowcodec.decode(words.LEAD.encode(), again) == row


# Written by the program when rows had their sixth format.
SIXTH_FORMAT = bytes.fromhex(
    "06000001a19bcf0c40000861636d65020864616e6118776562736974652d666f726d0c616374697665010206"
    "41646102104c6f76656c616365021e616461406578616d706c652e636f6d02182b3135313235353530313131"
    "00000208726f6f66021231204d61696e205374020c41757374696e02045458020a373837303102045553001e"
    "416d65726963612f4368696361676f0c6e6f726d616c02066e65770206686f740206736d73010a5354415254"
    "c0c3ecb7b3680002b7a86a536aae53f7bec4aad993c5b6ba1061636d652e6f6e650202809ae5b7b3680280d4"
    "9cbbb3680c6d616e75616c000863616c6c02066f6c6400041868656c6c6f3a6f70656e65641263616c6c3a64"
    "6f6e650000021061636d652e74776f02809ae5b7b36812636f6d706c6574656402000e80edf3b7b368c0c3ec"
    "b7b36880b1f8bcb36880dda68ab468021661636d652e73696c656e740002809ae5b7b3680002483562306535"
    "6131632d366630662d356335352d396130632d3030303030303030303030320c73746f702d31066f7073809a"
    "e5b7b3680030d47f0dba738c0f9dad1163cf949c808cc8d000f92448b4b0"
)


def test_a_row_of_the_sixth_format_is_read_and_written_again_in_the_newest(words: Any) -> None:
    row = rowcodec.decode(words.LEAD.encode(), SIXTH_FORMAT)
    [live] = row.live
    assert live.outcomes == ("hello:opened", "call:done")
    assert (live.resent, live.arms, live.cause, row.finished[0].cause) == ((), (), b"", b"")
    assert [each.event_id for each in row.ahead] == ["stop-1"]
    assert row.read == ()
    assert len(row.applied) == 3 * 8
    again = rowcodec.encode(row)
    assert rowcodec.header(again).version == rowcodec.VERSION
    assert rowcodec.decode(words.LEAD.encode(), again) == row


def test_how_far_topics_were_applied_comes_back(story: Any, words: Any) -> None:
    read = (
        ReadUpTo("message-events", 7_000_000_000, rowcodec.to_ms(words.at(3))),
        ReadUpTo("lead-events", 0, -1),
        ReadUpTo("enrollment-commands", 3, 0),
    )
    row = replace(a_row(story, words), read=read)
    assert rowcodec.decode(words.LEAD.encode(), rowcodec.encode(row)) == row


@pytest.mark.parametrize(
    "outcomes",
    [
        (),
        tuple(f"hello:{word}" for word in rowcodec.WORDS),
        tuple(f"hello:{word}" for word in reversed(rowcodec.WORDS)),
        ("a:sent", "b:sent", "a:opened", "a:opened", "a:b:clicked"),
    ],
)
def test_what_became_of_messages_comes_back_in_its_order(
    outcomes: tuple[str, ...], story: Any, words: Any
) -> None:
    row = a_row(story, words)
    row = replace(row, live=(replace(row.live[0], outcomes=outcomes),))
    assert rowcodec.decode(words.LEAD.encode(), rowcodec.encode(row)) == row


def test_what_became_of_a_message_takes_its_step_once(story: Any, words: Any) -> None:
    row = a_row(story, words)
    [live] = row.live
    one = replace(row, live=(replace(live, outcomes=("hello:sent",)),))
    all_of_it = tuple(f"hello:{word}" for word in rowcodec.WORDS)
    everything = replace(row, live=(replace(live, outcomes=all_of_it),))
    assert len(rowcodec.encode(everything)) <= len(rowcodec.encode(one)) + 1


def test_arms_resends_and_the_cause_of_an_enrollment_come_back(story: Any, words: Any) -> None:
    row = a_row(story, words)
    [live] = row.live
    live = replace(
        live,
        resent=(Resent("hello", words.LEAD),),
        arms=(KeptArm("A,B", "B"), KeptArm("x,y,z", "x")),
        cause=digest("an event"),
    )
    row = replace(row, live=(live,), finished=(replace(row.finished[0], cause=digest("another")),))
    assert rowcodec.decode(words.LEAD.encode(), rowcodec.encode(row)) == row


def test_what_templates_may_name_comes_back(story: Any, words: Any) -> None:
    row = a_row(story, words)
    told = {name: f"the {name}" for name in LEAD_VARIABLES}
    row = replace(row, profile=replace(row.profile, **told))
    assert rowcodec.decode(words.LEAD.encode(), rowcodec.encode(row)) == row


def test_until_when_somebody_is_away_comes_back(story: Any, words: Any) -> None:
    row = replace(a_row(story, words), away_until=words.at(1440))
    assert rowcodec.decode(words.LEAD.encode(), rowcodec.encode(row)) == row


def test_the_time_of_an_old_row_begins_at_its_next_event(story: Any, words: Any) -> None:
    """An older program did not write down when the lead responded last."""
    story.publish("two", words.step("hello"))
    story.publish("silent", words.step("ping"), trigger=("dormant", "60"))
    story.row = replace(rowcodec.decode(words.LEAD.encode(), SECOND_FORMAT), live=())
    day = 1440
    story.when("LeadQualified", 10 * day)
    assert words.steps_sent(story.until(69 * day)) == []
    assert words.steps_sent(story.until(70 * day)) == ["ping"]


def test_the_times_of_silence_and_what_was_decided_for_it_come_back(story: Any, words: Any) -> None:
    row = replace(
        a_row(story, words),
        live=(),
        touched_at=words.at(1),
        responded_at=words.at(2),
        review_at=words.at(3),
        dormant_in=("acme.one",),
        entries_before=739_941,
    )
    data = rowcodec.encode(row)
    assert rowcodec.decode(words.LEAD.encode(), data) == row
    assert rowcodec.header(data).due_ms == rowcodec.to_ms(words.at(3))


def test_what_an_enrollment_waits_for_comes_back(story: Any, words: Any) -> None:
    row = a_row(story, words)
    live = replace(row.live[0], waits_for="call", passed=("a", "b"), outcomes=("a:opened",))
    row = replace(row, live=(live,), sent=(words.at(1), words.at(2)))
    assert rowcodec.decode(words.LEAD.encode(), rowcodec.encode(row)) == row
    assert row.next_due() is None
