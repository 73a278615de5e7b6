"""The day that an out-of-office answer names. They came on Friday, 20 November 2026."""

import time
from datetime import date

import pytest

from intake.absences import returns_on

RECEIVED = date(2026, 11, 20)


def nov(day: int) -> date:
    return date(2026, 11, day)


def dec(day: int) -> date:
    return date(2026, 12, day)


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("I am out of the office until December 1, 2026.", dec(1)),
        ("I'm out of office until Dec 1st.", dec(1)),
        ("I will be back on Monday, November 30.", nov(30)),
        ("I will be back in the office on 30 November 2026", nov(30)),
        ("I am away and will return on 2026-12-03.", dec(3)),
        ("Returning Monday.", nov(23)),
        ("I'll be back tomorrow!", nov(21)),
        ("I'm out Nov 23-27, back Monday the 30th of November", nov(30)),
        ("Out of the office starting 12/23 and returning 1/4/2027.", date(2027, 1, 4)),
        ("On leave from December 1 through December 5 and will be back on December 7.", dec(7)),
        ("Hi,\n\nI am out until 12/1.\n\nOn Fri, Dec 4, 2026 Acme wrote:\n> back Dec 9", dec(1)),
    ],
)
def test_the_day_of_return_is_read(text: str, day: date) -> None:
    assert returns_on(text, RECEIVED) == day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("I'm on vacation from Nov 21 to Nov 29.", nov(30)),
        ("I'm on vacation November 21 - November 29.", nov(30)),
        ("Out of office through November 29.", nov(30)),
        ("We are closed between December 24 and January 3.", date(2027, 1, 4)),
    ],
)
def test_after_the_last_day_of_absence_somebody_is_back(text: str, day: date) -> None:
    assert returns_on(text, RECEIVED) == day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("Ich bin bis zum 30.11.2026 nicht im Büro.", dec(1)),
        ("Ich bin vom 23.11. bis 27.11. im Urlaub.", nov(28)),
        ("Ab dem 1. Dezember bin ich wieder erreichbar.", dec(1)),
        ("Ich bin am 1. Dezember 2026 wieder im Büro.", dec(1)),
        ("Ich bin ab Montag wieder zurück.", nov(23)),
        ("Vielen Dank. Ich bin wieder am 07.12. im Haus.", dec(7)),
    ],
)
def test_german_is_understood(text: str, day: date) -> None:
    assert returns_on(text, RECEIVED, "DE") == day


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("Je suis absent jusqu'au 30 novembre inclus.", dec(1)),
        ("Je serai de retour le lundi 30 novembre 2026.", nov(30)),
        ("En congés du 23 novembre au 4 décembre.", dec(5)),
        ("Bonjour, je reviens le 1er décembre.", dec(1)),
        ("Estaré fuera hasta el 30 de noviembre.", dec(1)),
        ("Vuelvo el 1 de diciembre de 2026.", dec(1)),
        ("Fuera de la oficina del 23 de noviembre al 27 de noviembre.", nov(28)),
        ("Sono in ferie fino al 30 novembre.", dec(1)),
        ("Rientro lunedì 30 novembre.", nov(30)),
        ("In ferie dal 23 novembre al 27 novembre", nov(28)),
        ("Ik ben met vakantie t/m 27 november.", nov(28)),
        ("Ik ben op maandag 30 november weer terug.", nov(30)),
        ("Ik ben afwezig van 23 november tot en met 27 november.", nov(28)),
        ("Estou de férias até 30 de novembro.", dec(1)),
    ],
)
def test_other_languages_are_understood(text: str, day: date) -> None:
    assert returns_on(text, RECEIVED, "FR") == day


@pytest.mark.parametrize(
    ("text", "region", "day"),
    [
        ("I am out until 12/1.", "US", dec(1)),
        ("I am out until 1/12.", "GB", dec(1)),
        ("I am out until 11/30/26.", "US", nov(30)),
        ("I am out until 30/11/2026", "US", nov(30)),
    ],
)
def test_numbers_are_read_as_the_region_writes_them(text: str, region: str, day: date) -> None:
    assert returns_on(text, RECEIVED, region) == day


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "I am out of office and will have limited access.",
        "I was back on November 10, 2026.",
        "I am out.\nOn Thu, Dec 3, 2026 at 9:00 Acme wrote:\n> back on Dec 9",
        "I left the company on December 1. Please write to jane@acme.example",
        "Your request will be answered within 2 days. Call 555-0100",
        "until February 31",
        "until 99/99",
    ],
)
def test_a_text_that_names_no_day_to_come_is_none(text: str | None) -> None:
    assert returns_on(text, RECEIVED) is None


@pytest.mark.parametrize("text", ["Out through 9999-12-31.", "Ich bin bis 31.12.9999 weg."])
def test_an_absence_without_end_is_a_long_one(text: str) -> None:
    back = returns_on(text, RECEIVED)
    assert back is not None
    assert back.year > RECEIVED.year


def test_a_text_of_nothing_but_ranges_holds_nobody_up() -> None:
    began = time.monotonic()
    returns_on("from 1/1 " * 1_000, RECEIVED)
    assert time.monotonic() - began < 1  # a hundredth of that; seconds, were it all looked through
