"""The text of a mail that came as HTML, its quotations marked as text marks them: `> `.

Anybody's HTML of any shape is read once, from the start to the end. Parsers that build the tree of
a page take minutes for tags that are nested deep enough, and the standard library's looks for the
end of every comment that has none; for the words and lines of a mail no tree is needed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape

LONGEST_HTML = 1_000_000
DEEPEST_QUOTE = 5
_BLOCKS = (
    "address article div dl dt dd footer form h1 h2 h3 h4 h5 h6 header hr li ol p pre section "
    "table tr ul"
)
BLOCKS = frozenset(_BLOCKS.split())
HIDDEN = {
    name: re.compile(f"</{name}", re.IGNORECASE)
    for name in ("head", "script", "style", "template", "title")
}
NAME = re.compile(r"/?([A-Za-z][A-Za-z0-9]{0,20})")
SPACES = re.compile(r"[ \t\n\r\f\v\xa0]+")
# No character has such a number, and Python takes none of so many digits for one.
NO_CHARACTER = re.compile(r"&#(?:[0-9]{8,}|[xX][0-9a-fA-F]{8,});?")
GAPS = re.compile(r"\n{3,}")


def text_of(html: str) -> str:
    """What a person sees of it, in lines."""
    page = _Page()
    for tag, words in _pieces(html[:LONGEST_HTML]):
        if tag is None:
            page.line.append(words)
        else:
            page.meet(tag)
    page.end_line()
    return GAPS.sub("\n\n", "\n".join(page.lines)).strip()


def _pieces(html: str) -> Iterator[tuple[str | None, str]]:
    """Tags, in lower case, closing ones with their slash, and the words between them."""
    place = 0
    never_closed: set[str] = set()
    while (begin := html.find("<", place)) >= 0:
        yield None, html[place:begin]
        if html.startswith("<!--", begin):
            place = html.find("-->", begin + 4) + 3
            if place < 3:
                return
            continue
        named = NAME.match(html, begin + 1)
        if named is None and html[begin + 1 : begin + 2] not in ("!", "?"):
            yield None, "<"
            place = begin + 1
            continue
        place = html.find(">", begin) + 1
        if place < 1:
            return
        tag = "" if named is None else named[0].lower()
        if tag in HIDDEN and tag not in never_closed:
            closed = HIDDEN[tag].search(html, place)
            if closed is not None:
                place = closed.start()
            else:
                never_closed.add(tag)
        elif tag:
            yield tag, ""
    yield None, html[place:]


class _Page:
    """Lines as they fill up."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.line: list[str] = []
        self._quotes = 0

    def meet(self, tag: str) -> None:
        name = tag.removeprefix("/")
        if name == "br":
            self.end_line(even_empty=True)
        elif name == "blockquote":
            self.end_line()
            self._quotes = max(0, self._quotes + (1 if tag == name else -1))
        elif name in BLOCKS:
            self.end_line()
            if name == "p" and self.lines and self.lines[-1]:
                self.lines.append("")

    def end_line(self, *, even_empty: bool = False) -> None:
        told = NO_CHARACTER.sub("\ufffd", "".join(self.line))
        words = SPACES.sub(" ", unescape(told)).strip()
        self.line.clear()
        if words or even_empty:
            self.lines.append("> " * min(self._quotes, DEEPEST_QUOTE) + words)
