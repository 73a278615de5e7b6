"""Reading a payload: whatever type a field has, take what can be understood and no more."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

LONGEST_LINE = 500
LONGEST_TEXT = 20_000
MOST_MARKS = 30
MARKS = re.compile(r"[\u0300-\u036f\u0483-\u0489\u0591-\u05bd\u0610-\u061a\u064b-\u065f"
                   r"\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\u302a-\u302f\u3099\u309a"
                   r"\ufe20-\ufe2f]{31,}")  # fmt: skip
TRUE = frozenset({"true", "yes", "y", "on", "1", "granted"})
FALSE = frozenset({"false", "no", "n", "off", "0", "denied", "refused"})
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u2028\u2029\ufeff\ud800-\udfff]")


def line(payload: Mapping[str, Any], name: str) -> str | None:
    """A field as one line: NFC, no control characters, single spaces; None when empty."""
    value = text(payload, name)
    if value is None:
        return None
    return " ".join(value.split())[:LONGEST_LINE].rstrip()


def text(payload: Mapping[str, Any], name: str, longest: int = LONGEST_TEXT) -> str | None:
    """A field as text that may have several lines; numbers are taken as they are written."""
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        return None
    written = str(value)
    if not (written.isascii() and written.isprintable()):
        # Composing takes the square of a run of marks: first no more than can stay, and no run
        # longer than any language has (UAX 15, stream-safe text).
        written = MARKS.sub(lambda run: run[0][:MOST_MARKS], written[: 2 * longest])
        written = CONTROLS.sub("", unicodedata.normalize("NFC", written))
    return written.strip()[:longest] or None


def group(payload: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A field that is an object; empty when it is not one."""
    value = payload.get(name)
    return value if isinstance(value, dict) else {}


def flag(value: Any) -> bool | None:
    """True or False as forms write them; None when it is neither."""
    if isinstance(value, bool):
        return value
    if isinstance(value, (str, int)):
        word = str(value).strip().lower()
        return True if word in TRUE else False if word in FALSE else None
    return None


def time(payload: Mapping[str, Any], name: str) -> datetime | None:
    """An ISO 8601 time with its offset, as UTC; None when it is not one."""
    value = payload.get(name)
    if not isinstance(value, str):
        return None
    try:
        at = datetime.fromisoformat(value.strip())
        return at.astimezone(UTC) if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def whole(payload: Mapping[str, Any], name: str) -> int | None:
    """A number of seconds or pieces, rounded down; None when negative or beyond 32 bits."""
    value = payload.get(name)
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = int(float(value))
    except (ValueError, OverflowError):
        return None
    return number if 0 <= number < 2**31 else None
