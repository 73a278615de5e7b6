"""Short messages that ask for no more, in the words that people use, and such that do not."""

from __future__ import annotations

from time import perf_counter

import pytest

from intake.replies import KEYWORDS, keyword, wish_word
from intake.stopping import asks_to_stop

WISHES = [
    "please unsubscribe me",
    "STOP please",
    "Stop!",
    "unsubscribe",
    "remove me from your list",
    "please stop texting me",
    "Please STOP",
    "stop stop stop",
    "Stop it.",
    "STOP. I'm not interested",
    "Not interested, please stop",
    "Stop texting this number",
    "Stop sending me these emails!!",
    "please stop sending text messages to me",
    "Can you please stop emailing me?",
    "Stop calling me and my wife! Stop calling.",
    "stop the texts please",
    "No more texts",
    "no more emails please, thanks",
    "Don't text me again",
    "Don\u2019t contact me anymore",
    "Do not contact",
    "never call me again",
    "do not send me any more messages",
    "Take me off your list",
    "take my number off the list please",
    "Hi Dana, please remove my number from your database",
    "Kindly delete my email address from your mailing list.",
    "I want to be removed from this list",
    "I would like to unsubscribe",
    "unsubscribe me from all of your emails",
    "Unsubscribe from this list",
    "how do I unsubscribe?",
    "I want to opt out",
    "Opt me out please",
    "opt out of all texts",
    "Leave me alone",
    "I said stop texting me",
    "Wrong person. Please remove me",
    "I revoke my consent.",
    "please e-mail me no more. Remove me from your list - thanks",
    "please cancel",
    "\u26d4 STOP \u26d4",
]
OTHERS = [
    "don't stop by the house tomorrow",
    "stop by at 5",
    "Please stop by on Friday",
    "Can you stop by?",
    "don't stop",
    "Please don't stop texting me",
    "I don't want you to stop emailing me",
    "We will stop at the office",
    "The bus stop is on Main Street",
    "stop in anytime",
    "Please cancel my appointment on Friday",
    "cancel the gutters, just the roof please",
    "at the end of the month",
    "End of the week works",
    "The leak won't stop, can you come today?",
    "Please stop the leak",
    "call me, do not text me at work on Mondays",
    "remove the old roof from the garage",
    "Can you remove me from the calendar on Friday?",
    "Did you send me the email?",
    "Unsubscribe from what?",
    "I never said stop texting me",
    "My neighbour told you to stop calling her",
    "Don't call me before 9",
    "no more than 2000 dollars",
    "Stop the clock when they arrive, start again after lunch and tell me what it came to",
    "yes",
    "",
]


@pytest.mark.parametrize("text", WISHES)
def test_a_short_message_that_asks_for_no_more_is_a_stop(text: str) -> None:
    assert keyword(text) in ("STOP", "UNSUBSCRIBE")
    assert wish_word("sms", text) == keyword(text)
    assert wish_word("email", text) == keyword(text)


@pytest.mark.parametrize("text", OTHERS)
def test_a_message_that_says_something_else_is_none(text: str) -> None:
    assert keyword(text) is None
    assert wish_word("email", text) is None


def test_a_short_mail_may_greet_and_sign() -> None:
    for text in (
        "Hi Dana,\n\nplease unsubscribe me.\n\nThanks,\nMaria Lopez",
        "Hello,\nplease remove me from your mailing\nlist\n\nMaria",
        "Please unsubscribe me\n> Hi Maria, is Friday good?",
    ):
        assert wish_word("email", text) == "STOP"


def test_what_is_quoted_or_far_down_in_a_letter_is_none() -> None:
    assert wish_word("email", "Friday is fine.\n> please unsubscribe me") is None
    assert wish_word("email", "About the roof. " * 40 + "\nplease unsubscribe me") is None


def test_of_what_a_machine_wrote_no_sentence_counts() -> None:
    text = "Thanks for your mail. Unsubscribe me from this list"
    assert wish_word("email", text) == "STOP"
    assert wish_word("email", text, by_machine=True) is None
    assert wish_word("email", "STOP", by_machine=True) == "STOP"


@pytest.mark.parametrize(
    "part", ["please ", "hi ", "stop ", "me ", "of the ", "no ", "can you ", "- "]
)
def test_no_short_message_takes_long(part: str) -> None:
    begin = perf_counter()
    for tail in ("", "x", "stop texting", "from your"):
        asks_to_stop((part * 200)[:180] + tail)
    assert perf_counter() - begin < 0.2


@pytest.mark.parametrize(
    "text",
    [
        "ＳＴＯＰ",
        "ｓｔｏｐ．",
        "Ѕtор",  # Cyrillic
        "ЅТОР",
        "ЅТOP",
        "SΤΟΡ",  # Greek
        "S\u200bT\u00adOP",
        "please st\u2060op texting me",
        "ｐｌｅａｓｅ ｓｔｏｐ ｔｅｘｔｉｎｇ ｍｅ",
        "рlеаse unsubscribe mе",
        "ＵＮＳＵＢＳＣＲＩＢＥ",
        "ЕND",
    ],
)
def test_a_wish_is_read_in_the_letters_that_people_see(text: str) -> None:
    word = keyword(text)
    assert word is not None
    assert KEYWORDS[word] == "STOP"


@pytest.mark.parametrize("text", ["СТОЛ", "Сто рублей", "ПОСТ", "стоп-кадр", "１２３", "стр. 5"])
def test_a_word_of_another_alphabet_is_no_wish_for_the_look_of_some_letters(text: str) -> None:
    assert keyword(text) is None
