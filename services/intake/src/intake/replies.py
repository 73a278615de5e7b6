"""What an answer asks for, STOP, START or HELP, and which message it is about."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import takewhile
from typing import Any
from uuid import UUID

from intake.stopping import LONGEST_CHARS, as_seen, asks_to_stop

# 47 CFR 64.1200(a)(10) names stop, quit, end, revoke, opt out, cancel and unsubscribe as
# revocation "by any reasonable means"; carriers and Twilio add STOPALL.
STOP_WORDS = frozenset(
    {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"}
)
# Twilio's words that take a STOP back. YES is one of theirs, and also a plain answer.
START_WORDS = frozenset({"START", "UNSTOP"})
HELP_WORDS = frozenset({"HELP", "INFO"})
KEYWORDS: Mapping[str, str] = {
    **dict.fromkeys(STOP_WORDS, "STOP"),
    **dict.fromkeys(START_WORDS, "START"),
    **dict.fromkeys(HELP_WORDS, "HELP"),
}
"""What each word asks for."""
KEYWORD_CHANNELS = frozenset({"sms", "whatsapp"})
READ_IDS = 50
MAIL_ID = re.compile(r"<[!-;=?-~]{1,250}@[!-;=?-~]{1,250}>")
"""A Message-ID (RFC 5322, 3.6.4), without the comments and quotes that nobody makes."""


def wish_word(channel: str, text: str | None, *, by_machine: bool = False) -> str | None:
    """The keyword of an answer. By e-mail a STOP is what stands in the first line, above the
    quoted message, or what a short mail says; START and HELP have their meaning on the channels of
    the carriers alone. Of what a machine wrote a keyword by itself counts, no sentence."""
    if channel in KEYWORD_CHANNELS:
        return keyword(text, by_machine=by_machine)
    if channel != "email" or text is None:
        return None
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if not lines:
        return None
    word = keyword(lines[0], by_machine=by_machine)
    if word is None and not by_machine and len(text) <= 2 * LONGEST_CHARS:
        own = list(takewhile(lambda line: not line.startswith(">"), lines))
        # A wish may go on in the next line of its own accord or the mail program's.
        word = keyword("\n".join(own)) or keyword(" ".join(own))
    return word if word in STOP_WORDS else None


def keyword(text: str | None, *, by_machine: bool = False) -> str | None:
    """The STOP, START or HELP word that a text consists of, in capitals: `Stop.`, `opt-out`; STOP
    for a short one that asks for the same in words of its own."""
    if text is None or text.lstrip().startswith(">"):
        return None
    seen = as_seen(text).upper() if len(text) <= 40 else ""
    word = "".join(char for char in seen if char.isalnum())
    if word in KEYWORDS:
        return word
    return "STOP" if not by_machine and asks_to_stop(text) else None


def answered(payload: Mapping[str, Any]) -> tuple[str, ...]:
    """Ids of messages that an answer names, the surest first: the message id that whoever passed it
    on found in its address, In-Reply-To, then References from the last to the first. Ours are
    UUIDs before the @ of a Message-ID; others may be there as well."""
    named = payload.get("message_id")
    found = [named.strip()[:200]] if isinstance(named, str) and named.strip() else []
    for name in ("in_reply_to", "references"):
        found += reversed([each for given in _texts(payload.get(name)) for each in _ids(given)])
    return tuple(dict.fromkeys(found))[:READ_IDS]


def mail_id(given: str | None) -> str | None:
    """A Message-ID with its angle brackets; None for what is none."""
    found = MAIL_ID.search(given[:1_000]) if given else None
    return found[0] if found else None


def message_in(given: str) -> str | None:
    """The id of a message in its Message-ID, `<uuid@domain>`, or by itself."""
    try:
        return str(UUID(given.strip().strip("<>").partition("@")[0]))
    except ValueError:
        return None


def _texts(given: Any) -> Iterator[str]:
    for each in given if isinstance(given, list) else [given]:
        if isinstance(each, str):
            yield each[:10_000]


def _ids(given: str) -> Iterator[str]:
    for each in given.split():
        found = message_in(each)
        if found is not None:
            yield found
