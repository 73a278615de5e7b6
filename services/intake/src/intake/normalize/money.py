"""Amounts of money in the smallest unit of their currency (ISO 4217)."""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal, InvalidOperation
from typing import Any

from leadflow.records import Money

# ISO 4217, table A.1: currencies whose minor unit is not a hundredth.
MINOR_DIGITS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG"), 0),
    **dict.fromkeys(("RWF", "UGX", "UYI", "VND", "VUV", "XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
    **dict.fromkeys(("CLF", "UYW"), 4),
}
SIGNS = {"$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY", "₹": "INR"}
LARGEST = 2**63 - 1
NUMBER = re.compile(r"\d[\d.,' ]*")
THOUSANDS = re.compile(r"\s*k\b", re.IGNORECASE)


def minor_digits(currency: str) -> int:
    """How many digits stand behind the point."""
    return MINOR_DIGITS.get(currency, 2)


def money(given: Any, default_currency: str) -> Money | None:
    """`{amount, currency}`, a number, or a text such as `$1,500.50`; None when it is none.

    A sign in the text names the currency where nothing else does, unless the tenant's own
    currency uses the same sign ($ in CAD, AUD …).
    """
    amount = given.get("amount") if isinstance(given, dict) else given
    currency = given.get("currency") if isinstance(given, dict) else None
    if isinstance(amount, bool) or not isinstance(amount, (int, float, str)):
        return None
    code = str(currency).strip().upper() if currency else ""
    if not re.fullmatch(r"[A-Z]{3}", code):
        code = _code_in(str(amount), default_currency)
    value = _decimal(amount)
    if value is None or value < 0:
        return None
    try:
        minor = int(value.scaleb(minor_digits(code)).to_integral_value(ROUND_HALF_EVEN))
    except (InvalidOperation, OverflowError, ValueError):
        return None
    return Money(amount_minor=minor, currency=code) if minor <= LARGEST else None


def _code_in(text: str, default: str) -> str:
    if word := re.search(r"\b[A-Z]{3}\b", text):
        return word.group()
    sign = next((sign for sign in SIGNS if sign in text), None)
    if sign is None or (sign == "$" and default.endswith("D")):
        return default
    return SIGNS[sign]


def _decimal(amount: int | float | str) -> Decimal | None:
    if not isinstance(amount, str):
        value = Decimal(str(amount))
        return value if value.is_finite() else None
    if "-" in amount.strip()[:2]:
        return None
    found = NUMBER.search(amount)
    if found is None:
        return None
    thousands = 1000 if THOUSANDS.match(amount, found.end()) else 1
    return Decimal(_plain(re.sub(r"[' ]", "", found.group()))) * thousands


def _plain(digits: str) -> str:
    """1,500.50 and 1.500,50 and 1,500 without their separators."""
    digits = digits.rstrip(".,")
    point = max(digits.rfind("."), digits.rfind(","))
    if point < 0:
        return digits
    mark = digits[point]
    # One mark only, three digits behind it: it groups thousands. Several of one kind: too.
    only = digits.count(".") + digits.count(",") == digits.count(mark)
    if only and (digits.count(mark) > 1 or len(digits) - point - 1 == 3):
        return digits.replace(mark, "")
    whole = digits[:point].replace(".", "").replace(",", "")
    return f"{whole}.{digits[point + 1 :]}"
