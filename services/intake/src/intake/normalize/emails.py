"""E-mail addresses, checked by their form only: no look-up leaves the machine."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from email_validator import EmailNotValidError, validate_email


def email(given: str | None) -> str | None:
    """The address with its domain in lower case (RFC 5321, 2.3.11, leaves the local part as
    it is); None when it is missing or not an address."""
    if given is None:
        return None
    value = given.strip().strip("<>").removeprefix("mailto:").rstrip(".,;")
    try:
        return validate_email(value, check_deliverability=False).normalized
    except EmailNotValidError:
        return None


def is_disposable(address: str) -> bool:
    """Whether the domain, or one above it, is a throw-away mailbox service."""
    labels = address.rpartition("@")[2].lower().split(".")
    domains = _disposable_domains()
    return any(".".join(labels[start:]) in domains for start in range(len(labels) - 1))


@cache
def _disposable_domains() -> frozenset[str]:
    lines = files("intake").joinpath("data/disposable_domains.txt").read_text().split("\n")
    return frozenset(entry.strip() for entry in lines if entry and not entry.startswith("#"))
