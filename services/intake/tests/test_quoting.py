"""What people wrote themselves, out of answers as mail programs make them."""

from __future__ import annotations

from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intake.quoting import own_words

OURS = "Hi Maria,\nwe have your message about the roof.\nReply STOP to opt out."
QUOTED = "\n".join(f"> {line}" for line in OURS.split("\n"))

ANSWERS = {
    "gmail": (
        "Yes, Friday works for me.\n\n"
        "On Fri, Nov 20, 2026 at 9:14 AM Acme Roofing <us@mail.example> wrote:\n\n"
        f"{QUOTED}\n",
        "Yes, Friday works for me.",
    ),
    "gmail, folded over three lines": (
        "Sounds good\n\n"
        "On Fri, Nov 20, 2026 at 9:14 AM Acme Roofing <\n"
        "reply+mfzwizltoqqgc3tpoqqgc3tpoqqgc3tpoqqgc3tpoqqgc3tpoqqg@mail.leadflow.example>\n"
        f"wrote:\n\n{QUOTED}",
        "Sounds good",
    ),
    "gmail, german": (
        "Passt, danke!\n\n"
        "Am Fr., 20. Nov. 2026 um 09:14 Uhr schrieb Acme Roofing <us@mail.example>:\n\n"
        f"{QUOTED}",
        "Passt, danke!",
    ),
    "gmail, french": (
        "Merci, à vendredi.\n\n"
        "Le ven. 20 nov. 2026 à 09:14, Acme Roofing <us@mail.example> a écrit :\n\n"
        f"{QUOTED}",
        "Merci, à vendredi.",
    ),
    "gmail, spanish": (
        "Perfecto\n\nEl vie, 20 nov 2026 a las 9:14, Acme Roofing "
        f"(<us@mail.example>) escribió:\n\n{QUOTED}",
        "Perfecto",
    ),
    "gmail, italian": (
        "Va bene\n\nIl giorno ven 20 nov 2026 alle ore 09:14 Acme Roofing "
        f"<us@mail.example> ha scritto:\n\n{QUOTED}",
        "Va bene",
    ),
    "dutch": (
        f"Prima\n\nOp vr 20 nov 2026 om 09:14 schreef Acme Roofing <us@mail.example>:\n{QUOTED}",
        "Prima",
    ),
    "japanese": (
        "了解しました。\n\n2026年11月20日(金) 9:14 Acme Roofing <us@mail.example>のメール:\n"
        f"{QUOTED}",
        "了解しました。",
    ),
    "apple mail": (
        "Call me please.\n\n"
        "> On Nov 20, 2026, at 9:14 AM, Acme Roofing <us@mail.example> wrote:\n> \n"
        f"{QUOTED}",
        "Call me please.",
    ),
    "an iphone": (
        "Call me please\n\nSent from my iPhone\n\n"
        f"> On Nov 20, 2026, at 9:14 AM, Acme Roofing <us@mail.example> wrote:\n{QUOTED}",
        "Call me please",
    ),
    "outlook's classic separator": (
        "Please send the offer.\n\n-----Original Message-----\n"
        "From: Acme Roofing <us@mail.example>\nSent: Friday, November 20, 2026 9:14 AM\n"
        f"To: Maria Lopez\nSubject: Your roof\n\n{OURS}",
        "Please send the offer.",
    ),
    "outlook with its line": (
        "Please send the offer.\n\nMaria\n\n________________________________\n"
        "From: Acme Roofing <us@mail.example>\nSent: Friday, November 20, 2026 9:14 AM\n"
        f"To: Maria Lopez <maria@example.com>\nSubject: Your roof\n\n{OURS}",
        "Please send the offer.\n\nMaria",
    ),
    "outlook, german": (
        "Bitte rufen Sie an.\n\n"
        "Von: Acme Roofing <us@mail.example>\nGesendet: Freitag, 20. November 2026 09:14\n"
        f"An: Maria Lopez\nBetreff: Ihr Dach\n\n{OURS}",
        "Bitte rufen Sie an.",
    ),
    "outlook, french, in bold": (
        "D'accord.\n\n*De :* Acme Roofing <us@mail.example>\n"
        f"*Envoyé :* vendredi 20 novembre 2026 09:14\n*À :* Maria\n*Objet :* Toit\n\n{OURS}",
        "D'accord.",
    ),
    "a quotation without marks": (
        f"Yes please\n\nOn Fri, Nov 20, 2026 at 9:14 AM Acme <us@mail.example> wrote:\n{OURS}",
        "Yes please",
    ),
    "below the quotation": (
        "On Fri, Nov 20, 2026 at 9:14 AM Acme Roofing <us@mail.example> wrote:\n"
        f"{QUOTED}\n\nTuesday is better.",
        "Tuesday is better.",
    ),
    "between the quoted lines": (
        "On Fri, Nov 20, 2026 at 9:14 AM Acme <us@mail.example> wrote:\n"
        "> Is Friday good?\nNo, Monday.\n> And the gutters?\nThose too.\n",
        "No, Monday.\nThose too.",
    ),
    "with a signature": (
        "Thanks, talk soon.\n\n-- \nMaria Lopez\nLopez & Sons\n+1 512 555 0163\n",
        "Thanks, talk soon.",
    ),
    "a comment on a forward": (
        "Can you answer this?\n\n---------- Forwarded message ---------\n"
        f"From: Acme <us@mail.example>\nDate: Fri, Nov 20, 2026\n\n{OURS}",
        "Can you answer this?",
    ),
    "windows line ends": (
        "Yes.\r\n\r\nOn Fri, Nov 20, 2026 at 9:14 AM Acme <a@b.example> wrote:\r\n> Hi\r\n",
        "Yes.",
    ),
}

# Sentences of people that look like what mail programs write.
NOT_QUOTED = [
    "On Friday I am away. My husband wrote:\nhe is at home from nine.",
    "From: the north side it leaks most.\nTo: be honest, everywhere.",
    "Am I too late? You wrote: soon.",
    "De nada.\nA demain",
    "I read what your colleague wrote:\n\nIs it still true?",
    "Two things:\n- the roof\n- the gutters\n--- and the door",
    "Sent from my wife's suggestion I would like the red one, please call.\nThanks",
    "Le toit fuit. Le voisin a écrit :\nça coûte cher",
]


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_quoted_is_left_out(name: str) -> None:
    text, own = ANSWERS[name]
    assert own_words(text) == (own, False)


@pytest.mark.parametrize("text", NOT_QUOTED)
def test_what_a_person_wrote_stays(text: str) -> None:
    assert own_words(text) == (text, False)


@pytest.mark.parametrize("name", ANSWERS)
def test_what_is_quoted_asks_for_nothing(name: str) -> None:
    assert "STOP" not in own_words(ANSWERS[name][0]).text


@pytest.mark.parametrize(
    "text",
    [
        QUOTED,
        "On Fri, Nov 20, 2026 at 9:14 AM Acme <us@mail.example> wrote:\n" + QUOTED,
        "-- \nMaria",
        "Sent from my iPhone",
    ],
)
def test_where_nothing_is_their_own_all_of_it_is_kept_and_said_to_be_quoted(text: str) -> None:
    assert own_words(text) == (text, True)


PIECES = st.sampled_from(
    ["> quoted", "On Nov 20, 2026 a@b.example wrote:", "--", "Yes", "", "From: a@b.example",
     "Sent: Friday, 9:14", "-----Original Message-----", "Sent from my iPhone", "____________"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(PIECES).map("\n".join)))
def test_of_a_text_something_is_always_left(text: str) -> None:
    own = own_words(text)
    assert bool(own.text) == bool(text.replace("\r", "\n").strip())
    assert own.nothing_own or not any(line.startswith(">") for line in own.text.split("\n"))


def test_an_empty_text_stays_empty() -> None:
    assert own_words(" \r\n ") == ("", True)


@pytest.mark.parametrize(
    "line",
    ["On " + "x@" * 20_000, "> " * 50_000, "_" * 100_000, "From: " * 20_000, "- " * 50_000,
     "On 1 " * 20_000 + "wrote", "wrote: schrieb " * 8_000, "\n" * 100_000, "a\n" * 50_000,
     "On 2026 at\n" * 9_000, "From: x@y.example\n" * 9_000],
)  # fmt: skip
def test_no_text_takes_long(line: str) -> None:
    started = perf_counter()
    own_words(line)
    assert perf_counter() - started < 5
