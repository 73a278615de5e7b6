"""What a receiver gets to see of a message, and what can be clicked there."""

from __future__ import annotations

import re
from html.parser import HTMLParser

# What stands around an address of the web in a text, and is no part of it.
_AROUND = "<>()[]\"'.,;:!?"
# Words that tell people what a link is for, whatever the language: a dot or a dash is none.
_WORD = re.compile(r"[^\W\d_]{2}")

_PLAIN_WORD = re.compile(r"\w+")  # written in HTML as it is
_WITHIN_A_LINE = frozenset({"a", "b", "code", "em", "i", "img", "s", "span", "strong", "u"})


def seen_in_text(words: str, text: str) -> bool:
    """Whether the words stand in a text, on one line or several, and not as a part of others."""
    wanted, shown = " ".join(words.split()), " ".join(text.split())
    return re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", shown) is not None


def link_in_text(url: str, text: str) -> bool:
    """Whether a mail program finds this address in a text: it stands by itself there."""
    return url in text and any(word.strip(_AROUND) == url for word in text.split())


def seen_in_html(words: str, html: str) -> bool:
    """Whether sanitized HTML shows the words: not in an attribute, which few programs show."""
    return _may_hold(words, html) and seen_in_text(words, _Page(html).text)


def link_in_html(url: str, html: str) -> bool:
    """Whether sanitized HTML has a link to this address with words to click at."""
    return _may_hold(url, html) and any(
        href == url and _WORD.search(said) for href, said in _Page(html).links
    )


def _may_hold(words: str, html: str) -> bool:
    """At a hundredth of the cost of reading it: most templates leave the footer to us."""
    return all(word in html for word in _PLAIN_WORD.findall(words))


class _Page(HTMLParser):
    """`text` is what is shown; `links` are (address, what can be clicked), in turn."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = ""
        self.links: list[tuple[str, str]] = []
        self._shown: list[str] = []
        self._open: tuple[str, int] | None = None
        self.feed(html)
        self.close()
        self.text = "".join(self._shown)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._open = (dict(attrs).get("href") or "", len(self._shown))
        elif tag not in _WITHIN_A_LINE:
            self._shown.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a" and self._open is not None:
            href, start = self._open
            self.links.append((href, "".join(self._shown[start:])))
            self._open = None
        elif tag not in _WITHIN_A_LINE:
            self._shown.append("\n")

    def handle_data(self, data: str) -> None:
        self._shown.append(data)
