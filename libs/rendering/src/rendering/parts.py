"""A template and its values become the parts of a message: the same wherever it is asked for."""

from __future__ import annotations

import html as escaping
from collections.abc import Mapping
from dataclasses import dataclass

from rendering.errors import TemplateError
from rendering.links import ours
from rendering.plain import html_of, text_of
from rendering.sanitizing import sanitize
from rendering.seen import link_in_html, link_in_text, seen_in_html, seen_in_text
from rendering.stray_links import in_html, joined
from rendering.templates import Values, render_html, render_line, render_text
from rendering.variables import LEAD_VARIABLES

OPT_OUT_TEXT = "Unsubscribe"
# Beyond 102,000 bytes Gmail cuts a message off, and with it the footer.
MAX_HTML_CHARS = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """Liquid. An e-mail has a `body`, or a `body_html`, or both; the others a `body` alone."""

    channel: str
    subject: str
    body: str
    body_html: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """Finished; `html` is empty where the channel has none."""

    subject: str
    text: str
    html: str


def render(template: Template, values: Values, *, footer: bool) -> Parts:
    """The message. `footer`: it is an e-mail that the law takes for an advertisement, which says
    who sends it from where and how to stop it. Values of a lead that would become a link together,
    or with the words around them, count as missing. Raises TemplateError."""
    while True:
        parts = _of(template, values)
        said = (parts.subject, parts.text, in_html(parts.html) if template.body_html else "")
        written = "\n".join((template.subject, template.body, template.body_html))
        if not (typed := joined(said, written, values, LEAD_VARIABLES)):
            break
        values = Values({name: value for name, value in values.items() if name not in typed})
    return with_footer(parts, values) if footer and template.channel == "email" else parts


def _of(template: Template, values: Values) -> Parts:
    subject = render_line(template.subject, values)
    text = render_text(template.body, values)
    if template.channel != "email":
        return _full(Parts(subject=subject, text=text, html=""))
    html = ""
    if template.body_html.strip():
        said = render_html(template.body_html, values)
        html = sanitize(said, ours(values, template.body_html))
        text = text or text_of(html)
    elif text:
        html = html_of(text, ours(values, template.body))
    if not subject:
        raise TemplateError("template_empty", part="subject")
    return _full(Parts(subject=subject, text=text, html=html))


def _full(parts: Parts) -> Parts:
    if not parts.text:
        raise TemplateError("template_empty")
    if len(parts.html) > MAX_HTML_CHARS:
        raise TemplateError("template_limit", limit=f"{MAX_HTML_CHARS} characters of HTML")
    return parts


def with_footer(parts: Parts, values: Mapping[str, str]) -> Parts:
    """With the sender's postal address and the link to unsubscribe, where a receiver does not see
    them yet: a text in an attribute is not seen, a link around nothing is not clicked.

    15 U.S.C. 7704(a)(5) wants both in every commercial message, the address a valid physical one.
    Raises TemplateError (`compliance_footer_missing`) if there is nothing to put there.
    """
    address, link = values.get("postal_address", ""), values.get("unsubscribe_url", "")
    missing = [
        words
        for words, value in (
            ("the postal address of the sender", address),
            ("a link to unsubscribe", link),
        )
        if not value
    ]
    if missing:
        raise TemplateError("compliance_footer_missing", missing=" and ".join(missing))
    text, html = [], []
    if not seen_in_text(address, parts.text):
        text.append(address)
    if not seen_in_html(address, parts.html):
        html.append(escaping.escape(address))
    if not link_in_text(link, parts.text):
        text.append(f"{OPT_OUT_TEXT}: {link}")
    if not link_in_html(link, parts.html):
        html.append(f'<a href="{escaping.escape(link)}">{OPT_OUT_TEXT}</a>')
    return Parts(
        subject=parts.subject,
        text="\n\n".join([parts.text, "\n".join(text)]) if text else parts.text,
        html=f"{parts.html}<p>{'<br>'.join(html)}</p>\n" if html else parts.html,
    )
