"""A look at a template and at HTML before anything is parsed: in one pass, whatever they hold.

The lexer of the Liquid library looks for the end of every `{{` to the end of the text, and for a
tag's name in every way that it could be cut: 20,000 characters of `{{` cost it 19 seconds. What
passes here opens and closes within a short distance, so that it has nothing to look for. An HTML
parser reopens unclosed <b>, <a> and the like in every block that follows, as browsers do:
20,000 characters of those came to 17 MB of output and 600 MB of memory.
"""

from __future__ import annotations

import re

from rendering.errors import TemplateError

MAX_TEMPLATE_CHARS = 20_000
MAX_MARKUPS = 400
MAX_MARKUP_CHARS = 500
MAX_SPACE_CHARS = 40
MAX_HTML_TAGS = 2_000
MAX_HTML_REOPENINGS = 30_000

TAGS = ("assign", "case", "comment", "if", "unless")
_INNER = frozenset({"#", "else", "elsif", "when", *(f"end{name}" for name in TAGS)})
_NAMES = _INNER.union(TAGS)

_OPENING = re.compile(r"\{[{%]")
_SPACE = re.compile(rf"\s{{{MAX_SPACE_CHARS},}}")
_NAME = re.compile(r"-?\s*(#|\w*)")
_HTML_TAG = re.compile(r"<([a-zA-Z][^\s/>]{0,20})")
_REOPENED = frozenset(
    {
        "a",
        "b",
        "big",
        "code",
        "em",
        "font",
        "i",
        "nobr",
        "s",
        "small",
        "strike",
        "strong",
        "tt",
        "u",
    }
)


def scan_template(template: str) -> None:
    """Raises TemplateError for what is too large, is not closed, or names no tag of ours."""
    if len(template) > MAX_TEMPLATE_CHARS:
        raise TemplateError(
            "template_limit", limit=f"{MAX_TEMPLATE_CHARS} characters in a template"
        )
    position = count = 0
    while opening := _OPENING.search(template, position):
        start, closing = opening.end(), "}}" if opening[0] == "{{" else "%}"
        end = template.find(closing, start, start + MAX_MARKUP_CHARS)
        inside = template[start : start + MAX_MARKUP_CHARS if end < 0 else end]
        if end < 0 and len(inside) == MAX_MARKUP_CHARS and not _OPENING.search(inside):
            raise TemplateError("template_limit", limit=f"{MAX_MARKUP_CHARS} characters in {{}}")
        if end < 0 or _OPENING.search(inside):
            line = template.count("\n", 0, start) + 1
            raise TemplateError(
                "template_error", error=f"{opening[0]} in line {line} is not closed by {closing}"
            )
        if _SPACE.search(inside):
            raise TemplateError("template_limit", limit=f"{MAX_SPACE_CHARS} spaces within {{}}")
        if closing == "%}":
            name = _NAME.match(inside)
            if name is None or name[1] not in _NAMES:
                raise TemplateError(
                    "template_tag_unknown",
                    tag=(name[1] if name else "")[:60] or "without a name",
                    known=", ".join(TAGS),
                )
        count += 1
        if count > MAX_MARKUPS:
            raise TemplateError("template_limit", limit=f"{MAX_MARKUPS} times {{}}")
        position = end + len(closing)


def scan_html(html: str) -> None:
    """Raises TemplateError for HTML that a parser could blow up."""
    tags = reopened = 0
    for found in _HTML_TAG.finditer(html):
        tags += 1
        reopened += found[1].lower() in _REOPENED
    if tags > MAX_HTML_TAGS:
        raise TemplateError("template_limit", limit=f"{MAX_HTML_TAGS} HTML tags")
    if tags * reopened > MAX_HTML_REOPENINGS:
        raise TemplateError("template_limit", limit="as many HTML tags for looks (<b>, <a>…)")
