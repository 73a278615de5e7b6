"""What means harm is refused with a clear word, or comes out harmless; none of it takes long.

What comes out is read by another parser than the one that cleaned it.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from rendering.errors import SENTENCES
from rendering.templates import MAX_SUBJECT_CHARS

CORPUS = Path(__file__).parent / "hostile.py"
# Process time, which a busy machine does not stretch: the worst case takes 0.2 s.
LONGEST_CPU_SECONDS = 1.0
LONGEST_CHARS = 120_000

# Written down once more, not taken from the sanitizer: this is what a reader may meet.
TAGS = {
    "a", "b", "blockquote", "br", "code", "div", "em", "h1", "h2", "h3", "h4", "hr", "i", "img",
    "li", "ol", "p", "pre", "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr",
    "u", "ul",
}  # fmt: skip
ATTRIBUTES = {
    "a": {"href", "title"},
    "img": {"src", "alt", "width", "height"},
    "td": {"colspan", "rowspan", "align"},
    "th": {"colspan", "rowspan", "align"},
}
UNSUBSCRIBE = "https://leads.example.com/unsubscribe/abc"
ADDRESS = "Acme Roofing, 400 Congress Ave, Austin, TX 78701"
HREFS = {"http", "https", "mailto", "tel"}


@pytest.fixture(scope="module")
def outcomes() -> list[dict[str, Any]]:
    done = subprocess.run(
        [sys.executable, str(CORPUS)], capture_output=True, text=True, timeout=180
    )
    assert done.returncode == 0, done.stderr[-2_000:] or f"ended by signal {-done.returncode}"
    return [json.loads(line) for line in done.stdout.splitlines()]


@pytest.fixture(scope="module")
def rendered(outcomes: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in outcomes if "rule" not in each]


class Reader(HTMLParser):
    """Notes whatever a mail program could act upon, and what it would show."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.wrong: list[str] = []
        self.hosts: list[str] = []
        self.addresses: list[str] = []
        self.said = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self.wrong.append(f"<{tag}>")
        for name, value in attrs:
            if name not in ATTRIBUTES.get(tag, set()):
                self.wrong.append(f"<{tag} {name}>")
            if name in ("href", "src"):
                self.addresses.append(value or "")
                url = urlsplit(value or "")
                if url.scheme not in (HREFS if name == "href" else {"http", "https"}):
                    self.wrong.append(f"<{tag} {name}={value!r}>")
                if url.scheme in ("http", "https"):
                    self.hosts.append(url.netloc)

    def handle_data(self, data: str) -> None:
        self.said += data

    def handle_comment(self, data: str) -> None:
        self.wrong.append("a comment")

    def handle_decl(self, decl: str) -> None:
        self.wrong.append("a declaration")

    def handle_pi(self, data: str) -> None:
        self.wrong.append("an instruction")

    def unknown_decl(self, data: str) -> None:
        self.wrong.append("a declaration")


def harmful(text: str) -> set[str]:
    """Control characters, halves of characters, and what turns text around or hides in it."""
    return {
        character
        for character in text
        if character not in "\n\t"
        and (
            unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")
            or unicodedata.bidirectional(character)
            in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
            or character in "\u200b\u200e\u200f\u061c\u2060\ufeff\u00ad"
        )
    }


def test_there_are_more_than_five_hundred_cases_all_different(
    outcomes: list[dict[str, Any]],
) -> None:
    assert len(outcomes) > 500
    assert len({each["name"] for each in outcomes}) == len(outcomes)


def test_what_is_refused_is_refused_with_a_clear_word(outcomes: list[dict[str, Any]]) -> None:
    refused = [each for each in outcomes if "rule" in each]
    assert {each["rule"] for each in refused} <= set(SENTENCES)
    unclear = [
        each["name"]
        for each in refused
        if len(each["sentence"]) < 15 or harmful(each["sentence"]) or len(each["sentence"]) > 400
    ]
    assert unclear == []
    assert [each["name"] for each in refused if re.search("[a-z]Error", each["sentence"])] == []
    # Nothing that only the library's own words explain.
    assert [each for each in refused if "the {" in each["sentence"]] == []


def test_html_that_comes_out_has_allowed_tags_attributes_and_addresses_alone(
    rendered: list[dict[str, Any]],
) -> None:
    wrong = {each["name"]: found for each in rendered if (found := Reader(each["html"]).wrong)}
    assert wrong == {}


def test_no_host_that_a_value_named_is_ever_linked(rendered: list[dict[str, Any]]) -> None:
    linked = {
        each["name"]: hosts
        for each in rendered
        if " in a value " in each["name"]
        and (hosts := set(Reader(each["html"]).hosts) - {"leads.example.com"})
    }
    assert linked == {}
    named = [each for each in rendered if each["name"].startswith("host ")]
    assert len(named) == 21
    assert not [each for each in named if "evil" in str(Reader(each["html"]).addresses)]


def test_markup_in_a_value_is_read_as_it_was_typed(rendered: list[dict[str, Any]]) -> None:
    found = 0
    for each in rendered:
        if each["name"].startswith("markup "):
            found += 1
            typed = each["values"]["first_name"]
            assert each["text"].startswith(f"Hi {typed}.")
            assert Reader(each["html"]).said.strip().startswith(f"Hi {typed}."), each["name"]
    assert found == 100


def test_subjects_are_one_line_without_tricks(rendered: list[dict[str, Any]]) -> None:
    odd = {
        each["name"]: each["subject"]
        for each in rendered
        if harmful(each["subject"])
        or len(each["subject"].splitlines()) != 1
        or "\t" in each["subject"]
        or len(each["subject"]) > MAX_SUBJECT_CHARS
    }
    assert odd == {}


def test_texts_hold_no_character_that_misleads(rendered: list[dict[str, Any]]) -> None:
    odd = {each["name"]: found for each in rendered if (found := harmful(each["text"]))}
    assert odd == {}
    odd = {each["name"]: found for each in rendered if (found := harmful(each["html"]))}
    assert odd == {}


def test_nothing_that_comes_out_is_large(rendered: list[dict[str, Any]]) -> None:
    sizes = {each["name"]: len(each["text"]) + len(each["html"]) for each in rendered}
    assert {name: size for name, size in sizes.items() if size > 2 * LONGEST_CHARS} == {}


def test_no_case_takes_long(outcomes: list[dict[str, Any]]) -> None:
    slow = {each["name"]: each["cpu"] for each in outcomes if each["cpu"] > LONGEST_CPU_SECONDS}
    assert slow == {}


def test_a_template_in_a_value_stays_text(rendered: list[dict[str, Any]]) -> None:
    found = 0
    for each in rendered:
        if each["name"].startswith("template in a value "):
            found += 1
            value = each["name"].removeprefix("template in a value ")
            assert each["subject"] == " ".join(value.split())
            assert each["text"].startswith(f"Hi {value}.")
            assert Reader(each["html"]).said.startswith(f"Hi {value}.")
    assert found == 20


def test_every_loop_range_and_reach_is_refused(outcomes: list[dict[str, Any]]) -> None:
    prefixes = ("tag ", "filter ", "reach ", "unknown ")
    let_through = [
        each["name"]
        for each in outcomes
        if each["name"].startswith(prefixes) and "rule" not in each
    ]
    assert let_through == []


def test_a_signed_footer_survives_whatever_stands_before_it(
    rendered: list[dict[str, Any]], shown: Callable[[str], Any]
) -> None:
    """Nothing in a template swallows what the law wants below it: it is seen and clicked."""
    without = []
    for each in rendered:
        page = shown(each["html"])
        clicked = [said for href, said in page.clicks if href == UNSUBSCRIBE]
        if not (
            ADDRESS in " ".join(page.text.split())
            and any(re.search("[a-z]{2}", said) for said in clicked)
            and ADDRESS in each["text"]
            and re.search(rf"(?<!\S)\(?{UNSUBSCRIBE}\)?(?!\S)", each["text"])
        ):
            without.append(each["name"])
    assert without == []
