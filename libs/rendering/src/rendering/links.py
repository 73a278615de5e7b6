"""Which addresses a message may lead to, and whose they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from urllib.parse import SplitResult, urlsplit

from rendering.variables import LEAD_VARIABLES

WEB = frozenset({"http", "https"})
SCHEMES = frozenset({*WEB, "mailto", "tel"})
MAX_URL_CHARS = 2_000
# `a.co`: nothing shorter is a host of its own.
SHORTEST_HOST_CHARS = 4

IsOurs = Callable[[str], bool]


def web_address(url: str) -> SplitResult | None:
    """The parts of an absolute http or https address, None for anything else."""
    if len(url) > MAX_URL_CHARS or not url.isprintable() or any(each in url for each in ' \\<>"'):
        return None
    try:
        parts = urlsplit(url)
        named = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    # Before an @ anything can stand that looks like the host.
    if parts.scheme not in WEB or not named or "@" in parts.netloc:
        return None
    return parts


def ours(values: Mapping[str, str]) -> IsOurs:
    """Whether it is we who chose where a web address leads.

    What a lead typed into a form never becomes a link: it would go out in a tenant's name. The
    hosts of the sender's own values are ours, whatever the lead typed: a lead in Austin takes no
    link away from austinroofing.com.
    """
    typed = [values[name].lower() for name in LEAD_VARIABLES if values.get(name)]
    sender = {
        parts.hostname.lower()
        for name, value in values.items()
        if name not in LEAD_VARIABLES and (parts := web_address(value)) and parts.hostname
    }

    def is_ours(url: str) -> bool:
        parts = web_address(url)
        if parts is None:
            return False
        host = (parts.hostname or "").lower()
        if host in sender:
            return True
        return not any(
            host in value or (len(value) >= SHORTEST_HOST_CHARS and value in host)
            for value in typed
        )

    return is_ours
