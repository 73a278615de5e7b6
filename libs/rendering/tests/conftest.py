"""What a receiver sees, read without the code that wrote it."""

from __future__ import annotations

from collections.abc import Callable
from html.parser import HTMLParser

import pytest


class Shown(HTMLParser):
    """`text` as a mail program without pictures shows it; `clicks` are (address, text)."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.clicks: list[tuple[str, str]] = []
        self._hrefs: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._hrefs.append(dict(attrs).get("href") or "")
            self.clicks.append((self._hrefs[-1], ""))
        elif tag in ("br", "div", "p", "li", "td", "tr"):
            self.text += "\n"

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._hrefs:
            self._hrefs.pop()
        elif tag in ("div", "p", "li", "td", "tr"):
            self.text += "\n"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._hrefs:
            href, said = self.clicks[-1]
            self.clicks[-1] = (href, said + data)


@pytest.fixture(scope="session")
def shown() -> Callable[[str], Shown]:
    """Reads HTML."""
    return Shown
