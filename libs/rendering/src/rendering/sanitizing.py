"""HTML of a template into HTML that cannot harm, by an allow-list of tags and attributes (nh3)."""

from __future__ import annotations

import html as escaping
import re
from collections.abc import Callable

import nh3

from rendering.cleaning import cleaned
from rendering.links import SCHEMES, IsOurs, web_address
from rendering.scanning import scan_html

TAGS = frozenset(
    {
        "a", "b", "blockquote", "br", "code", "div", "em", "h1", "h2", "h3", "h4", "hr", "i", "img",
        "li", "ol", "p", "pre", "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr",
        "u", "ul",
    }
)  # fmt: skip
ATTRIBUTES = {
    # Without this the library lets title and lang stand everywhere.
    "*": frozenset[str](),
    "a": frozenset({"href", "title"}),
    "img": frozenset({"src", "alt", "width", "height"}),
    "td": frozenset({"colspan", "rowspan", "align"}),
    "th": frozenset({"colspan", "rowspan", "align"}),
}
# Their content goes with them: it is no text for people.
WITH_CONTENT = frozenset({"script", "style", "title", "textarea", "noscript", "iframe", "template"})
MAX_ATTRIBUTE_CHARS = 200

_LINK = re.compile(r'(<a(?: title="[^"]*")? href=")([^"]*)(")')

# What becomes of the web address of a link.
Rewrite = Callable[[str], str]


def sanitize(html: str, is_ours: IsOurs) -> str:
    """The HTML without all that is not allowed; links and pictures only where `is_ours` says so.

    Raises TemplateError if it is built to make a parser run away.
    """
    scan_html(html)

    def attribute(tag: str, name: str, value: str) -> str | None:
        if name in ("href", "src"):
            reached = value.startswith(("mailto:", "tel:"))
            if reached and (name == "src" or not value.isprintable()):
                return None
            return value if is_ours(value) else None
        if name in ("title", "alt"):
            return value[:MAX_ATTRIBUTE_CHARS]
        return value if value.isascii() and value.isalnum() and len(value) <= 6 else None

    # What a character reference (&#8203;) stood for stands there by now.
    return cleaned(_clean(html, attribute), keep_lines=True).strip()


def rewrite_links(html: str, rewrite: Rewrite) -> str:
    """HTML of `sanitize` or `rendering.plain.html_of` with the web address of every link rewritten.

    Their tags are written in one way, and no quotation mark stands bare in a text or a value: what
    looks like the beginning of a link is one.
    """

    def rewritten(found: re.Match[str]) -> str:
        address = escaping.unescape(found[2])
        if web_address(address) is None:
            return found[0]
        return f"{found[1]}{escaping.escape(rewrite(address))}{found[3]}"

    return _LINK.sub(rewritten, html)


def _clean(html: str, attribute: Callable[[str, str, str], str | None]) -> str:
    return nh3.clean(
        html,
        tags=set(TAGS),
        clean_content_tags=set(WITH_CONTENT),
        attributes={tag: set(names) for tag, names in ATTRIBUTES.items()},
        attribute_filter=attribute,
        url_schemes=set(SCHEMES),
        url_relative="deny",
        link_rel=None,
        strip_comments=True,
    )
