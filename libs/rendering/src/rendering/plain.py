"""The text part of an e-mail that was written as HTML, and HTML of what was written as text."""

from __future__ import annotations

import html as escaping
import re
from html.parser import HTMLParser

from rendering.links import SENTENCE_ENDS, IsOurs

_BLOCKS = frozenset({"blockquote", "div", "h1", "h2", "h3", "h4", "ol", "p", "pre", "table", "ul"})
_URL = re.compile(r"https?://[^\s<>\"']+")
_SPACES = re.compile(r"[ \t\n\r\f\v]+")
_EMPTY_LINES = re.compile(r"\n{3,}")
RULE = "-" * 20


def html_of(text: str, is_ours: IsOurs) -> str:
    """The text as simple HTML: paragraphs, line breaks, and links where we chose the address."""

    def linked(found: re.Match[str]) -> str:
        url = found[0].rstrip(SENTENCE_ENDS)
        rest = found[0][len(url) :]
        address = escaping.unescape(url)
        if not is_ours(address):
            return found[0]
        return f'<a href="{url}">{url}</a>{rest}'

    escaped = _URL.sub(linked, escaping.escape(text))
    paragraphs = (part.strip().replace("\n", "<br>\n") for part in re.split(r"\n{2,}", escaped))
    return "".join(f"<p>{part}</p>\n" for part in paragraphs if part)


def text_of(html: str) -> str:
    """What sanitized HTML says, as text: paragraphs, lists, rules, and addresses behind links."""
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (line.strip() for line in "".join(reader.parts).split("\n"))
    return _EMPTY_LINES.sub("\n\n", "\n".join(lines)).strip()


class _Reader(HTMLParser):
    """Writes down what it meets; the tags are those of `rendering.sanitizing`, all closed."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._links: list[tuple[str, int]] = []
        self._lists: list[int | None] = []
        self._as_is = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if tag in _BLOCKS and not self._lists:
            self.parts.append("\n\n")
        if tag in ("ol", "ul"):
            self._lists.append(0 if tag == "ol" else None)
        elif tag == "li":
            self.parts.append("\n" + self._mark())
        elif tag in ("br", "tr"):
            self.parts.append("\n")
        elif tag == "hr":
            self.parts.append(f"\n\n{RULE}\n\n")
        elif tag == "pre":
            self._as_is += 1
        elif tag == "img":
            self.parts.append(given.get("alt") or "")
        elif tag == "a":
            self._links.append((given.get("href") or "", len(self.parts)))

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._links:
            address, start = self._links.pop()
            address = address.removeprefix("mailto:").removeprefix("tel:")
            said = "".join(self.parts[start:]).strip()
            if address and address != said:
                self.parts.append(f" ({address})" if said else address)
        elif tag in ("td", "th"):
            self.parts.append(" ")
        elif tag in ("ol", "ul") and self._lists:
            self._lists.pop()
        elif tag == "pre" and self._as_is:
            self._as_is -= 1
        if tag in _BLOCKS and not self._lists:
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        self.parts.append(data if self._as_is else _SPACES.sub(" ", data))

    def _mark(self) -> str:
        if not self._lists or (number := self._lists[-1]) is None:
            return "- "
        self._lists[-1] = number + 1
        return f"{number + 1}. "
