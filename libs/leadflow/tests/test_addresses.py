"""An address is compared by what people see of it (ADR 20)."""

from __future__ import annotations

import sys
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as some

from leadflow.addresses import address_key, mailbox, number, without_unseen

EVERY = [chr(each) for each in range(sys.maxunicode + 1)]
FORMATS = [each for each in EVERY if unicodedata.category(each) == "Cf"]
BLANKS = [each for each in EVERY if unicodedata.category(each) in ("Zs", "Zl", "Zp")] + ["\u2800"]
FILLERS = ["\u034f", "\u115f", "\u1160", "\u17b4", "\u180b", "\u3164", "\ufe0f", "\uffa0"]
UNSEEN = [*FORMATS, *FILLERS, "\x00", "\x07", "\x7f", "\x9f", "\U000e0100", "\U000e0fff"]
PLACES = ("{}vic@example.com", "vic@example.com{}", "vi{}c@example.com", "vic@exam{}ple.com")
IDN = (
    "a@exämple.com",
    "A@EXÄMPLE.COM",
    "a@exa\u0308mple.com",
    "a@XN--EXMPLE-CUA.com",
    "a＠ｅｘämple．com",
    "a@ex\u00adämple\u200b.com",
    " a@exämple。com ",
)


def test_there_are_characters_to_test_with() -> None:
    assert len(FORMATS) > 150
    assert len(BLANKS) > 17


def others(key: Callable[[str], str], put: list[str], whole: str) -> list[str]:
    """The characters that make another address of `whole`, which none of them may."""
    return [ascii(each) for each in put if key(each) != whole]


@pytest.mark.parametrize("place", PLACES)
def test_nothing_unseen_makes_another_address(place: str) -> None:
    put = UNSEEN + [each for each in BLANKS if each != " "]
    assert others(lambda x: address_key("email", place.format(x)), put, "vic@example.com") == []
    assert others(lambda x: mailbox(place.format(x)), UNSEEN, "vic@example.com") == []


@pytest.mark.parametrize("place", ["{}+15125550100", "+15125550100{}", "+1512{}5550100"])
def test_nothing_unseen_makes_another_number(place: str) -> None:
    put = UNSEEN + [each for each in BLANKS if each != " "]
    assert others(lambda x: address_key("sms", place.format(x)), put, "+15125550100") == []
    assert others(lambda x: number(place.format(x)), UNSEEN, "+15125550100") == []


@pytest.mark.parametrize("written", IDN)
def test_a_domain_is_the_same_in_whichever_way_it_is_written(written: str) -> None:
    assert address_key("email", written) == "a@xn--exmple-cua.com"


def test_written_down_a_local_part_keeps_its_case_and_the_domain_does_not() -> None:
    assert mailbox("A.b@EXÄMPLE.com") == "A.b@xn--exmple-cua.com"
    assert mailbox("Vic@Example.COM") == "Vic@example.com"


def test_the_width_and_the_style_of_letters_make_no_other_address() -> None:
    assert mailbox("ｖｉｃ@example.com") == "vic@example.com"
    assert address_key("email", "𝐯𝐢𝐜@example.com") == "vic@example.com"
    assert address_key("sms", "＋１５１２５５５０１００") == "+15125550100"
    assert number("+١٥١٢٥٥٥٠١٠٠") == "+15125550100"


def test_a_letter_that_people_see_does_make_another_address() -> None:
    assert address_key("email", "víc@example.com") == "víc@example.com"
    assert mailbox("víc@example.com") == "víc@example.com"
    assert address_key("email", "a@faß.de") != address_key("email", "a@fass.de")


def test_a_joiner_that_a_script_needs_stays_in_its_domain() -> None:
    """RFC 5892, A.1: between letters of Arabic that join."""
    assert mailbox("a@نامه\u200cای.com") == "a@xn--mgba3gch31f060k.com"


def test_what_is_no_domain_is_left_as_it_is() -> None:
    assert mailbox("a@ex_ä.com") == "a@ex_ä.com"
    assert address_key("email", "nobody") == "nobody"
    assert address_key("email", "") == ""


def test_what_looks_like_a_blank_is_one() -> None:
    assert without_unseen("a\u2800b\u200bc d") == "a bc d"


@given(
    some.text(some.one_of(some.characters(), some.sampled_from("@.aß\u200dé\u2800")), max_size=30)
)
def test_the_key_of_a_key_is_itself(text: str) -> None:
    for channel in ("email", "sms"):
        key = address_key(channel, text)
        assert address_key(channel, key) == key
        assert not any(unicodedata.category(each) == "Cf" for each in key)
