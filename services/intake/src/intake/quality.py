"""Spam and quality: every rule that speaks adds points; from the tenant's threshold on the
lead is quarantined, with these reasons, visible and never lost.

| rule | points | speaks when |
|---|---|---|
| honeypot | 60 | a field that people do not see is filled |
| disposable_email | 40 | the mailbox is a throw-away one |
| gibberish_name | 30 | at least half the words of the name are keyboard noise |
| gibberish_message | 30 | at least half the words of the message are |
| no_contact | 30 | neither a usable e-mail address nor a usable number |
| link_stuffing | 25 | three links or more in what was written |
| invalid_email | 20 | an e-mail address was given and is none |
| impossible_phone | 20 | a number was given that nobody can have |
| missing_consent | 5 | no channel was allowed |

No rule but the honeypot reaches the default threshold (50) alone: a real person with one odd
field is let in.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from intake.normalize import emails
from intake.normalize.fields import text
from leadflow.records import ConsentGrant, Reason

HONEYPOTS = ("website_hp", "hp", "_gotcha")
LINK = re.compile(r"https?://|www\.", re.IGNORECASE)
MANY_LINKS = 3
ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
# Runs of a keyboard row that real words have: liberty, power, dessert.
REAL_RUNS = frozenset({"wert", "erty", "tyui", "poiu", "rewq", "ytre", "trew"})
RUNS = frozenset(
    run
    for row in ROWS
    for line in (row, row[::-1])
    for run in (line[start : start + 4] for start in range(len(line) - 3))
) - frozenset(REAL_RUNS)
REPEATED = re.compile(r"(.)\1{3,}")
VOWELS = frozenset("aeiouy")
DIGRAPHS = re.compile(r"sch|ch|sh|th|ph|gh|ck|tz|ng")
CONSONANTS = re.compile(r"[b-df-hj-np-tv-xz]{6,}")
WORD = re.compile(r"[a-z]{4,}")


def reasons(
    payload: Mapping[str, Any],
    *,
    email: str | None,
    phone: str | None,
    phone_given: bool,
    name: str,
    message: str | None,
    consent: tuple[ConsentGrant, ...],
) -> tuple[Reason, ...]:
    """The rules that speak against a sighting; their notes hold no personal data."""
    found: list[Reason] = []

    def speak(rule: str, points: int, note: str) -> None:
        found.append(Reason(rule=rule, points=points, note=note))

    if filled := [field for field in HONEYPOTS if text(payload, field)]:
        speak("honeypot", 60, f"{filled[0]} is filled")
    if email is not None and emails.is_disposable(email):
        speak("disposable_email", 40, "throw-away mailbox")
    if gibberish(name):
        speak("gibberish_name", 30, "keyboard noise")
    if message and gibberish(message):
        speak("gibberish_message", 30, "keyboard noise")
    if email is None and phone is None:
        speak("no_contact", 30, "no usable e-mail address or number")
    if (links := len(LINK.findall(f"{message or ''} {name}"))) >= MANY_LINKS:
        speak("link_stuffing", 25, f"{links} links")
    if email is None and text(payload, "email"):
        speak("invalid_email", 20, "not an address")
    if phone is None and phone_given:
        speak("impossible_phone", 20, "not a number that can be reached")
    if not any(grant.granted for grant in consent):
        speak("missing_consent", 5, "no channel was allowed")
    return tuple(found)


def gibberish(written: str) -> bool:
    """Whether at least half of the words of four Latin letters or more are keyboard noise.

    Texts in other scripts have no such words and are never judged.
    """
    words = WORD.findall(LINK.sub(" ", written.lower()))
    return bool(words) and sum(map(is_noise, words)) * 2 >= len(words)


def is_noise(word: str) -> bool:
    """No vowel, a letter four times in a row, a run of a keyboard row, or six consonants."""
    if not VOWELS & set(word) or REPEATED.search(word):
        return True
    if any(word[start : start + 4] in RUNS for start in range(len(word) - 3)):
        return True
    return CONSONANTS.search(DIGRAPHS.sub("c", word)) is not None
