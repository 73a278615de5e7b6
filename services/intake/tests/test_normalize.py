from __future__ import annotations

from datetime import UTC, datetime

import pytest

from intake.normalize import names
from intake.normalize.attribution import attribution
from intake.normalize.emails import email, is_disposable
from intake.normalize.fields import line, text
from intake.normalize.languages import language
from intake.normalize.money import money
from intake.normalize.phones import phone
from intake.normalize.places import address
from intake.normalize.timezones import timezone
from intake.normalize.urgency import urgency
from leadflow.records import Address, Attribution, Money

AT = datetime(2026, 11, 20, tzinfo=UTC)


@pytest.mark.parametrize(
    ("whole", "first", "last", "expected"),
    [
        ("Linh T. Nguyen", None, None, ("Linh", "Nguyen")),
        ("tyler jensen", None, None, ("Tyler", "Jensen")),
        ("GABRIELA SANTOS", None, None, ("Gabriela", "Santos")),
        ("Vance, Natalie", None, None, ("Natalie", "Vance")),
        ("Dr. Juan Q. Xavier de la Vega III", None, None, ("Juan", "de la Vega")),
        ("Madonna", None, None, ("Madonna", None)),
        (None, "José", "García-López", ("José", "García-López")),
        (None, "DON", "PRUITT", ("Don", "Pruitt")),
        (None, "Anna", "von Berg", ("Anna", "von Berg")),
        ("Ignored Whole", "Don", None, ("Don", None)),
        ("someone@example.com", None, None, (None, None)),
        ("12345", None, None, (None, None)),
        (None, None, None, (None, None)),
    ],
)
def test_a_name_is_taken_apart_and_its_case_put_right(
    whole: str | None, first: str | None, last: str | None, expected: tuple[str, str]
) -> None:
    assert names.person(whole, first, last) == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("José", "García-López"), ("Jose", "Garcia-Lopez")),
        (("Kevin", "O'Brien"), ("Kevin", "OBrien")),
        (("Siobhán", "Ní Bhriain"), ("Siobhan", "Bhriain")),
        (("Patrick", "Doyle"), ("Pat", "Doyle")),
        (("Bob", "Stone"), ("Robert", "Stone")),
        (("Hassan", "Yusuf"), ("Hasan", "Yusuf")),
        (("Micheal", "Jackson"), ("Michael", "Jackson")),
        (("M.", "Delgado"), ("Maria", "Delgado")),
        (("Maria", "Garcia"), ("Maria", "Garcia Lopez")),
        (("Maria", None), ("Maria", "Delgado")),
        ((None, "Delgado"), ("Maria", "Delgado")),
        ((None, None), ("Maria", "Delgado")),
    ],
)
def test_these_names_at_one_phone_are_one_person(one: names.Name, other: names.Name) -> None:
    assert names.similar(one, other)
    assert names.similar(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("Omar", "Haddad"), ("Leila", "Brandt")),
        (("Robert", "Stone"), ("Mary", "Stone")),
        (("John", "Stone"), ("Joan", "Stone")),
        (("Maria", "Rossi"), ("Mario", "Rossi")),
        (("Maria", "Delgado"), ("Maria", "Kowalski")),
        (("Maria", None), ("Joseph", "Delgado")),
    ],
)
def test_these_names_at_one_phone_are_two_people(one: names.Name, other: names.Name) -> None:
    assert not names.similar(one, other)
    assert not names.similar(other, one)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("REBECCA.STEIN@MAIL.EXAMPLE.COM", "REBECCA.STEIN@mail.example.com"),
        (" jane@example.com ", "jane@example.com"),
        ("<jane@example.com>", "jane@example.com"),
        ("mailto:jane@example.com", "jane@example.com"),
        ("kevin.o'brien@example.net", "kevin.o'brien@example.net"),
        ("jane+roof@example.com", "jane+roof@example.com"),
        ("jane@EXÄMPLE.com", "jane@xn--exmple-cua.com"),
        ("jane@xn--exmple-cua.com", "jane@xn--exmple-cua.com"),
        ("<jane@exämple.com>", "jane@xn--exmple-cua.com"),
        ("ja\u3164ne@exa\u202emple.com", "jane@example.com"),
        ("\u2800jane@example.com\u2800", "jane@example.com"),
        ("ja\u2800ne@example.com", None),
        ("ｊａｎｅ＠example.com", "jane@example.com"),
        ("jane@ex_ä.com", None),
        ("jane@example", None),
        ("jane@@example.com", None),
        ("jane.example.com", None),
        ("jane doe@example.com", None),
        (".jane@example.com", None),
        ("", None),
        (None, None),
    ],
)
def test_an_email_address_is_valid_by_form_or_it_is_none(
    given: str | None, expected: str | None
) -> None:
    assert email(given) == expected


def test_a_throw_away_mailbox_is_known_by_its_domain_and_those_below() -> None:
    assert is_disposable("a@mailinator.com")
    assert is_disposable("a@eu.MAILINATOR.com")
    assert not is_disposable("a@notmailinator.com")
    assert not is_disposable("a@example.com")


@pytest.mark.parametrize(
    ("given", "regions", "expected"),
    [
        # 555-01xx: NANPA's fictitious numbers; 020 7946 0xxx, 07700 900xxx: Ofcom's.
        ("(512) 555-0128", ("US",), "+15125550128"),
        ("512.555.0128", ("US",), "+15125550128"),
        ("1-512-555-0128", ("US",), "+15125550128"),
        ("+1 512 555 0128 ext. 9", ("GB",), "+15125550128"),
        ("020 7946 0377", ("GB",), "+442079460377"),
        ("07700 900123", ("GB",), "+447700900123"),
        ("+49 30 901820", ("US",), "+4930901820"),
        ("030 901820", ("DE", "US"), "+4930901820"),
        ("000-000-0000", ("US",), None),
        ("+1 111 111 1111", ("US",), None),
        ("1234567", ("US",), None),
        ("999", ("GB",), None),
        ("call me", ("US",), None),
        (None, ("US",), None),
    ],
)
def test_a_phone_number_is_e164_or_it_is_none(
    given: str | None, regions: tuple[str, ...], expected: str | None
) -> None:
    assert phone(given, regions) == expected


@pytest.mark.parametrize(
    ("given", "number", "tenant", "expected"),
    [
        ("America/Denver", "+15125550128", "Europe/London", ("America/Denver", "given")),
        ("america/new york", None, "", ("America/New_York", "given")),
        ("Mars/Olympus", "+16025550131", "Europe/London", ("America/Phoenix", "phone")),
        (None, "+19155550128", "Europe/London", ("America/Denver", "phone")),
        (None, "+442079460377", "", ("Europe/London", "phone")),
        # A free-phone number is in every zone of the country: it says nothing.
        (None, "+18005550199", "America/Chicago", ("America/Chicago", "tenant")),
        (None, None, "America/Chicago", ("America/Chicago", "tenant")),
        (None, None, "", ("UTC", "utc")),
    ],
)
def test_the_time_zone_is_given_then_the_phones_then_the_tenants_then_utc(
    given: str | None, number: str | None, tenant: str, expected: tuple[str, str]
) -> None:
    assert timezone(given, number, tenant, AT) == expected


@pytest.mark.parametrize(
    ("given", "currency", "expected"),
    [
        ({"amount": 6500, "currency": "USD"}, "USD", Money(amount_minor=650_000, currency="USD")),
        ({"amount": 19.99, "currency": "gbp"}, "USD", Money(amount_minor=1999, currency="GBP")),
        # ISO 4217: the yen has no minor unit, the Kuwaiti dinar has thousandths.
        ({"amount": 5000, "currency": "JPY"}, "USD", Money(amount_minor=5000, currency="JPY")),
        ({"amount": 1.5, "currency": "KWD"}, "USD", Money(amount_minor=1500, currency="KWD")),
        ({"amount": 400}, "GBP", Money(amount_minor=40_000, currency="GBP")),
        ({"amount": "1,500.50"}, "USD", Money(amount_minor=150_050, currency="USD")),
        ("$1,500", "USD", Money(amount_minor=150_000, currency="USD")),
        ("1.500,50 €", "USD", Money(amount_minor=150_050, currency="EUR")),
        ("£2k", "USD", Money(amount_minor=200_000, currency="GBP")),
        ("$900", "CAD", Money(amount_minor=90_000, currency="CAD")),
        (250, "USD", Money(amount_minor=25_000, currency="USD")),
        ({"amount": -5, "currency": "USD"}, "USD", None),
        ({"amount": "-5", "currency": "USD"}, "USD", None),
        ({"amount": float("nan"), "currency": "USD"}, "USD", None),
        ({"amount": 10**30, "currency": "USD"}, "USD", None),
        ({"amount": "a lot"}, "USD", None),
        ({"amount": True}, "USD", None),
        ({}, "USD", None),
        (None, "USD", None),
    ],
)
def test_money_is_in_the_smallest_unit_of_its_currency(
    given: object, currency: str, expected: Money | None
) -> None:
    assert money(given, currency) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("emergency", "urgent"),
        ("ASAP", "urgent"),
        ("as soon as possible", "urgent"),
        ("this week", "high"),
        ("tomorrow", "high"),
        ("this month", "normal"),
        ("in 2 weeks", "normal"),
        ("next 3 months", "low"),
        ("3-6 months", "low"),
        ("researching", "low"),
        ("not urgent", "low"),
        ("when the swallows return", "normal"),
        (None, None),
    ],
)
def test_urgency_is_read_from_what_people_write(given: str | None, expected: str | None) -> None:
    assert urgency(given) == expected


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("EN", "en"),
        ("en_us", "en-US"),
        ("zh-hant-tw", "zh-Hant-TW"),
        ("es-419", "es-419"),
        ("Spanish", "es"),
        ("de-DE,de;q=0.9", "de-DE"),
        ("gibberish tongue", None),
        (None, None),
    ],
)
def test_a_language_is_a_bcp_47_tag(given: str | None, expected: str | None) -> None:
    assert language(given) == expected


def test_the_landing_page_fills_what_the_attribution_does_not_say() -> None:
    page = "https://acme.example/q?utm_source=google&utm_medium=cpc&utm_campaign=hail&gclid=Cj0"
    assert attribution({"attribution": {"campaign": "storm", "landing_page": page}}) == Attribution(
        channel="google", campaign="storm", medium="cpc", gclid="Cj0", landing_page=page
    )
    assert attribution({"attribution": {}}) is None
    assert attribution({"attribution": "google"}) is None


def test_an_address_is_tidied_and_its_country_named_by_its_code() -> None:
    given = {"street": " 1  Main St ", "region": "tx", "postal_code": "sw1a 1aa"}
    assert address({"address": {**given, "country": "United Kingdom"}}) == Address(
        street="1 Main St", region="TX", postal_code="SW1A 1AA", country="GB"
    )
    assert address({"address": "1 Main St, Austin"}) == Address(street="1 Main St, Austin")
    assert address({"address": {"city": " "}}) is None


def test_text_loses_control_characters_and_keeps_its_lines() -> None:
    assert text({"m": "one\x00\ntwo\ud800 "}, "m") == "one\ntwo"
    assert line({"m": " one \n two "}, "m") == "one two"
    assert line({"m": 5125550128}, "m") == "5125550128"
    assert line({"m": True}, "m") is None
    assert line({"m": ["x"]}, "m") is None
    # The same letters, composed (NFC) and not, are the same name.
    assert line({"m": "Jose\u0301"}, "m") == "José"


def test_a_run_of_marks_that_no_language_has_is_cut_before_it_is_composed() -> None:
    """Composing takes the square of its length: a hostile form must not hold up the rest."""
    told = text({"text": "e" + "\u0301\u0323" * 200_000 + " STOP"}, "text", 2_000_000)
    assert told is not None
    assert told.endswith(" STOP")
    assert len(told) < 50
    assert text({"text": "Zoe\u0308"}, "text") == "Zo\u00eb"
