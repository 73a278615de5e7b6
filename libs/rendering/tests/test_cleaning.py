"""Characters that nobody sees, or that run over what stands around them."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rendering.cleaning import cleaned


@pytest.mark.parametrize(
    "unseen",
    [
        "\ufe0f", "\ufe00", "\ufe0f" * 300, "\U000e0100", "\U000e01ef" * 300, "\u200d" * 300,
        "\u200c", "\u200c\u200d" * 9, "\ufe0f\u200d" * 150, "\U0001d173", "\U0001d17a",
        "\U0001bca0", "\U0001bca3", "\U00013430", "\U0001343f", "\U0001fffe", "\U0010ffff",
        "\U000e0fff", "\u180b",
    ],
)  # fmt: skip
def test_what_nobody_sees_is_taken_out_of_a_word(unseen: str) -> None:
    assert cleaned(f"Ann{unseen}a") == "Anna"
    assert cleaned(f"{unseen}Anna{unseen}") == "Anna"
    assert cleaned(f"Anna {unseen}Lee") == "Anna Lee"


@pytest.mark.parametrize(
    ("first", "unseen"),
    [("葛", "\U000e0100"), ("❤", "\ufe0f"), ("葛", "\ufe00"), ("❤", "\ufe0f\u200d")],
)
def test_a_character_has_one_look_at_most(first: str, unseen: str) -> None:
    assert len(cleaned(first + unseen * 200)) == 2


@pytest.mark.parametrize("mark", ["\u0301", "\u0e49", "\u064e", "\u093c", "\u0f71"])
def test_marks_do_not_run_over_the_lines_around_them(mark: str) -> None:
    assert len(cleaned("a" + mark * 500)) <= 9
    assert len(cleaned("क" + f"{mark}\u200d" * 500)) <= 9


@pytest.mark.parametrize(
    "name",
    [
        "Zoë", "Łukasz", "李雷", "محمد", "👩‍🚀", "👨‍👩‍👧‍👦", "❤️‍🔥", "🏳️‍🌈", "1️⃣", "🏴‍☠️", "葛󠄀城",
        "می‌خواهم", "क्ष", "क्‍ष", "র‍্য", "พี่น้อง", "ကြွက်မြို့", "Nguyễn", "שָׁלוֹם", "བསྒྲུབས", "தமிழ்",
    ],
)  # fmt: skip
def test_what_languages_and_emoji_need_stays(name: str) -> None:
    assert cleaned(name) == name
    assert cleaned(unicodedata.normalize("NFD", name)) == unicodedata.normalize("NFD", name)


@given(
    st.text(alphabet="aक葛❤1 \u200c\u200d\ufe0f\ufe00\U000e0100\u0301\u0e49\u202e\n", max_size=60)
)
def test_cleaning_twice_changes_nothing_more(text: str) -> None:
    once = cleaned(text, keep_lines=True)
    assert cleaned(once, keep_lines=True) == once


def test_cleaning_takes_time_by_length_alone() -> None:
    started = time.process_time()
    for each in ("\u0301", "\u200d", "\ufe0f", "\u0301\u200d", "❤\ufe0f\u200d"):
        cleaned(each * 100_000)
    assert time.process_time() - started < 2.0


def test_braille_without_a_dot_is_a_blank() -> None:
    """To Unicode a symbol (So): a name of it alone would be a hole in the text."""
    assert cleaned("Ann\u2800Lee") == "Ann Lee"
    assert cleaned("\u2800\u2800").strip() == ""
    assert cleaned("a\u2800\nb", keep_lines=True) == "a \nb"
    assert cleaned("\u2801\u2803") == "\u2801\u2803"
