"""E-mail addresses, checked by their form only: no look-up leaves the machine."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from email_validator import EmailNotValidError, validate_email

from leadflow.addresses import mailbox


def email(given: str | None) -> str | None:
    """The address as `leadflow.addresses` writes it: its domain in small letters of ASCII (RFC
    5321, 2.3.11, leaves the local part as it is); None when it is missing or not an address."""
    if given is None:
        return None
    value = mailbox(given).strip("<>").removeprefix("mailto:").rstrip(".,;")
    try:
        found = validate_email(mailbox(value), check_deliverability=False)
    except EmailNotValidError:
        return None
    return f"{found.local_part}@{found.ascii_domain}"


def is_disposable(address: str) -> bool:
    """Whether the domain, or one above it, is a throw-away mailbox service."""
    labels = address.rpartition("@")[2].lower().split(".")
    domains = _disposable_domains()
    return any(".".join(labels[start:]) in domains for start in range(len(labels) - 1))


@cache
def _disposable_domains() -> frozenset[str]:
    lines = files("intake").joinpath("data/disposable_domains.txt").read_text().split("\n")
    return frozenset(entry.strip() for entry in lines if entry and not entry.startswith("#"))
