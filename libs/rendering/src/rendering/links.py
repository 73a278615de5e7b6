"""Which addresses a message may lead to, and whose they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import urlsplit

from rendering.scanning import scan_template
from rendering.variables import LEAD_VARIABLES

WEB = frozenset({"http", "https"})
SCHEMES = frozenset({*WEB, "mailto", "tel"})
MAX_URL_CHARS = 2_000

IsOurs = Callable[[str], bool]

# What a template holds beside its own words, and the texts that stand in it there.
_MARKUP = re.compile(r"\{\{.*?\}\}|\{%.*?%\}", re.DOTALL)
_QUOTED = re.compile(r"\"([^\"]*)\"|'([^']*)'")
# An address whose host has come to its end where it stands: by a blank, a quotation mark, a slash.
_HOST = re.compile(r"https?://([^\s<>\"'/?#\\]{1,255})(?=([\s<>\"'/?#\\]|\Z))", re.IGNORECASE)
# As nearly all addresses are: of such a one all programs read the same host.
_PLAIN = re.compile(
    r"https?://([a-z0-9-]+(?:\.[a-z0-9-]+)*)(?::[1-9][0-9]{0,3})?(?:[/?#][!#-;=?-\[\]-~]*)?"
)
# What closes a sentence is no part of an address (rendering.plain).
SENTENCE_ENDS = ".,;:!?)"


def web_address(url: str) -> str | None:
    """The host of an absolute http or https address, in lower case; None for anything else."""
    if len(url) > MAX_URL_CHARS:
        return None
    if (plain := _PLAIN.fullmatch(url)) is not None:
        return plain[1]
    if not url.isprintable() or any(each in url for each in ' \\<>"'):
        return None
    try:
        parts = urlsplit(url)
        named = parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        return None
    # Before an @ anything can stand that looks like the host.
    if parts.scheme not in WEB or not named or "@" in parts.netloc:
        return None
    return (parts.hostname or "").lower()


def ours(values: Mapping[str, str], *templates: str) -> IsOurs:
    """Whether it is we who chose where a web address leads: its host is written out in one of the
    templates, or in a value of the sender.

    What a lead typed into a form never becomes a link: it would go out in a tenant's name. It may
    stand behind the host, and it may read like one: a lead in Bath takes no link away from
    bathhomes.example.
    """
    hosts = set[str]().union(*map(hosts_written_in, templates))
    for name, value in values.items():
        if name not in LEAD_VARIABLES and "://" in value:
            hosts |= _hosts(value, closed=True)

    def is_ours(url: str) -> bool:
        return web_address(url) in hosts

    return is_ours


@lru_cache(maxsize=512)
def hosts_written_in(template: str) -> frozenset[str]:
    """The hosts of the addresses that a template writes out, in its own words or as texts that it
    names. One that a value may go on (`https://acme{{ city }}.example`) is not written out. Raises
    TemplateError for what is no template."""
    scan_template(template)  # a search for the ends of what does not end would take for ever
    found, position = set[str](), 0
    for markup in _MARKUP.finditer(template):
        found |= _hosts(template[position : markup.start()], closed=False)
        for quoted in _QUOTED.findall(markup[0]):
            found |= _hosts("".join(quoted), closed=True)
        position = markup.end()
    return frozenset(found | _hosts(template[position:], closed=True))


def _hosts(text: str, *, closed: bool) -> set[str]:
    """Hosts of the addresses in a text; `closed`: nothing comes behind it."""
    hosts = set()
    for found in _HOST.finditer(text):
        if not found[2] and not closed:
            continue
        if (host := web_address(f"https://{found[1].rstrip(SENTENCE_ENDS)}")) is not None:
            hosts.add(host)
    return hosts
