"""Which addresses a message may lead to, and whose they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from urllib.parse import unquote, urlsplit

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
# The same of a mailbox, as far as a question mark, and of a number, with what people put into one.
_MAILBOX = re.compile(r"(mailto:[^\s<>\"'?#]{1,255})(?=([\s<>\"'?#]|\Z))", re.IGNORECASE)
_NUMBER = re.compile(r"tel:([+0-9().\- ]{2,40}[0-9])(?=([\s<>\"'?]|\Z))", re.IGNORECASE)
# What a mail may be begun with (RFC 6068, 2); no other receivers.
_HEADERS = frozenset({"subject", "body"})
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
    """Whether it is we who chose where a link leads: the host of a web address, or the whole of a
    mailbox or a number, is written out in one of the templates, or in a value of the sender.

    What a lead typed into a form never becomes a link: it would go out in a tenant's name. It may
    stand behind the host, or in the subject of a mail to us, and it may read like a host: a lead in
    Bath takes no link away from bathhomes.example.
    """
    written = set[str]().union(*map(written_out_in, templates))
    for name, value in values.items():
        if name not in LEAD_VARIABLES:
            written |= _written(value, closed=True) | _written(f"tel:{value}", closed=True)

    def is_ours(url: str) -> bool:
        if not url.lower().startswith(("mailto:", "tel:")):
            return web_address(url) in written
        target, _, headers = url.partition("?")
        if (number := _NUMBER.fullmatch(target)) is not None:
            target = _called(number[1])
        return url.isprintable() and target.lower() in written and _may_begin_with(headers)

    return is_ours


def _may_begin_with(headers: str) -> bool:
    named = (unquote(each.partition("=")[0]).lower() for each in headers.split("&") if each)
    return all(name in _HEADERS for name in named)


def _called(number: str) -> str:
    return "tel:" + re.sub(r"[^+0-9]", "", number)


@lru_cache(maxsize=512)
def written_out_in(template: str) -> frozenset[str]:
    """The hosts of the addresses that a template writes out, in its own words or as texts that it
    names; and its mailboxes and numbers, as `mailto:a@b` and `tel:+1`. One that a value may go on
    (`https://acme{{ city }}.example`) is not written out. Raises TemplateError for what is no
    template."""
    scan_template(template)  # a search for the ends of what does not end would take for ever
    found, position = set[str](), 0
    for markup in _MARKUP.finditer(template):
        found |= _written(template[position : markup.start()], closed=False)
        for quoted in _QUOTED.findall(markup[0]):
            found |= _written("".join(quoted), closed=True)
        position = markup.end()
    return frozenset(found | _written(template[position:], closed=True))


def _written(text: str, *, closed: bool) -> set[str]:
    """What the addresses in a text lead to; `closed`: nothing comes behind it."""
    led = {each[1].lower() for each in _MAILBOX.finditer(text) if each[2] or closed}
    led |= {_called(each[1]) for each in _NUMBER.finditer(text) if each[2] or closed}
    for found in _HOST.finditer(text):
        if not found[2] and not closed:
            continue
        if (host := web_address(f"https://{found[1].rstrip(SENTENCE_ENDS)}")) is not None:
            led.add(host)
    return led
