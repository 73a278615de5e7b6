"""What may stand on a list. E-mail: RFC 5321; numbers: E.164 and the North American plan."""

from __future__ import annotations

import sys
import unicodedata

import pytest

from portal_api.suppression.rules import (
    NotListable,
    Place,
    places,
    reason_of,
    why_not_lifted,
)


@pytest.mark.parametrize(
    ("given", "address"),
    [
        ("(512) 555-0142", "+15125550142"),
        ("1-512-555-0142", "+15125550142"),
        ("+1 512.555.0142", "+15125550142"),
        ("whatsapp:+15125550142", "+15125550142"),
        ("0044 20 7946 0018", "+442079460018"),
    ],
)
def test_a_number_is_listed_in_the_form_in_which_messages_have_it(given: str, address: str) -> None:
    assert places(given, "sms", "US") == (Place("sms", address),)


def test_not_named_a_refusal_is_read_widely() -> None:
    assert [place.channel for place in places("+15125550142", "", "US")] == [
        "sms",
        "whatsapp",
        "call",
    ]
    assert places("Ann@Example.COM", "all", "US") == (Place("email", "ann@example.com"),)


@pytest.mark.parametrize(
    ("given", "channel", "region"),
    [
        ("", "", "US"),
        ("ann", "", "US"),
        ("ann@", "", "US"),
        ("ann@localhost", "", "US"),
        ("a b@example.com", "", "US"),
        ("ann@example.com\nbcc:x@example.com", "", "US"),
        ("<ann@example.com>", "", "US"),
        ("0 555-0142", "", "US"),
        ("512 555 0142", "", "GB"),
        ("112 555 0142", "", "US"),
        ("+0123456789", "", "US"),
        ("+15125550142", "email", "US"),
        ("ann@example.com", "sms", "US"),
        ("+15125550142", "fax", "US"),
        ("x" * 250 + "@example.com", "", "US"),
    ],
)
def test_what_is_no_address_of_the_channel_is_refused(
    given: str, channel: str, region: str
) -> None:
    with pytest.raises(NotListable) as refused:
        places(given, channel, region)
    # Why, never the address.
    assert given == "" or given not in str(refused.value)


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ("", "manual"),
        ("Unsubscribed", "opt_out"),
        ("opted-out", "opt_out"),
        ("Hard Bounce", "hard_bounce"),
        ("spam report", "complaint"),
        ("soft bounce", "soft_bounces"),
    ],
)
def test_the_words_of_other_tools_are_understood(given: str, reason: str) -> None:
    assert reason_of(given) == reason


def test_a_reason_that_nobody_knows_is_refused_and_not_guessed() -> None:
    with pytest.raises(NotListable):
        reason_of("weather")


@pytest.mark.parametrize("reason", ["opt_out", "provider_opt_out", "complaint"])
def test_a_persons_own_word_needs_evidence_of_a_new_one(reason: str) -> None:
    assert "new opt-in" in str(why_not_lifted(reason, "  "))
    assert why_not_lifted(reason, "box ticked on form-4711") is None


@pytest.mark.parametrize("reason", ["hard_bounce", "soft_bounces", "manual"])
def test_what_a_mailbox_did_needs_none(reason: str) -> None:
    assert why_not_lifted(reason, "") is None


UNSEEN = [
    each
    for each in map(chr, range(sys.maxunicode + 1))
    if unicodedata.category(each) in ("Cf", "Zs")
] + ["\u2800", "\u3164", "\ufe0f", "\u034f"]
WHERE = ("{0}vic@example.com", "vic@example.com{0}", "vi{0}c@example.com", "vic@exam{0}ple.com")


@pytest.mark.parametrize("where", WHERE)
def test_an_address_is_listed_as_it_is_seen_or_refused_and_never_as_another(where: str) -> None:
    """What is listed is what a lead's address is compared with: another protects nobody."""
    assert len(UNSEEN) > 180
    listed, refused = set(), []
    for each in UNSEEN:
        try:
            listed |= set(places(where.format(each), "", "US"))
        except NotListable:
            refused.append(each)
    assert listed == {Place("email", "vic@example.com")}
    assert all(each.isspace() or each == "\u2800" for each in refused)


@pytest.mark.parametrize("where", ["{0}+15125550142", "+15125550142{0}", "+1512{0}5550142"])
def test_a_number_is_listed_as_it_is_seen(where: str) -> None:
    for each in UNSEEN:
        assert places(where.format(each), "sms", "US") == (Place("sms", "+15125550142"),)


def test_letters_of_another_width_or_style_are_listed_as_they_are_compared() -> None:
    for given in ("ｖｉｃ＠example.com", "𝐯𝐢𝐜@example.com"):
        assert places(given, "", "US") == (Place("email", "vic@example.com"),)


@pytest.mark.parametrize("given", ["a@exämple.com", "A@EXÄMPLE.COM", "a@xn--exmple-cua.com"])
def test_a_domain_is_listed_as_dns_has_it(given: str) -> None:
    assert places(given, "", "US") == (Place("email", "a@xn--exmple-cua.com"),)
