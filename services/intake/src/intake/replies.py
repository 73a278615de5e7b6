"""What an answer means: a person's, a machine's, a STOP or a START."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# 47 CFR 64.1200(a)(10) names stop, quit, end, revoke, opt out, cancel and unsubscribe as
# revocation "by any reasonable means"; carriers and Twilio add STOPALL.
STOP_WORDS = frozenset(
    {"STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"}
)
# Twilio's words that take a STOP back. YES is one of theirs, and also a plain answer.
START_WORDS = frozenset({"START", "UNSTOP"})
KEYWORD_CHANNELS = frozenset({"sms", "whatsapp"})
BULK_PRECEDENCE = frozenset({"bulk", "junk", "list", "auto_reply"})


def wish_word(channel: str, text: str | None) -> str | None:
    """The keyword of an answer. By e-mail a STOP is what stands in the first line, above the
    quoted message; a START has its meaning on the channels of the carriers alone."""
    if channel in KEYWORD_CHANNELS:
        return keyword(text)
    if channel != "email" or text is None:
        return None
    first = next((line for line in text.splitlines() if line.strip()), "")
    word = keyword(first)
    return word if word in STOP_WORDS else None


def keyword(text: str | None) -> str | None:
    """The STOP or START word that a text consists of, in capitals: `Stop.`, `opt-out`."""
    if text is None or len(text) > 40:
        return None
    word = "".join(char for char in text.upper() if char.isalnum())
    return word if word in STOP_WORDS or word in START_WORDS else None


def is_automatic(headers: Any) -> bool:
    """Whether a message was sent by a machine.

    RFC 3834, 5: `Auto-Submitted` other than `no`. RFC 5321, 4.5.5: the empty return path.
    Older marks: `X-Autoreply`, `X-Autorespond`, and `Precedence` bulk, junk, list, auto_reply.
    """
    if not isinstance(headers, Mapping):
        return False
    values = {str(name).strip().lower(): _value(value) for name, value in headers.items()}
    if values.get("auto-submitted", "no").partition(";")[0].strip() not in ("no", ""):
        return True
    if any(values.get(name, "no") not in ("no", "") for name in ("x-autoreply", "x-autorespond")):
        return True
    if values.get("precedence") in BULK_PRECEDENCE:
        return True
    return values.get("return-path") == "<>"


def _value(value: Any) -> str:
    if isinstance(value, list):
        value = value[0] if value else ""
    return str(value).strip().lower()
