"""Text without the characters that make it read otherwise than it is."""

from __future__ import annotations

import re
import unicodedata

_LINE_BREAK = re.compile("\r\n|[\r\u0085\u2028\u2029]")
_NONCHARACTERS = "".join(f"{chr(each)}{chr(each + 1)}" for each in range(0xFFFE, 0x110000, 0x10000))
# Control characters but tab and newline (category Cc), surrogates and noncharacters; the marks that
# turn the direction of text around (Unicode Annex 9); characters that have no width and part words
# unseen, but the two joiners, which scripts and emoji need; format controls of hieroglyphs,
# shorthand and music; the tags, which spell unseen text, and what is set aside beside them.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff0-\ufffb\ud800-\udfff\ufdd0-\ufdef"
    "\U00013430-\U0001343f\U0001bca0-\U0001bca3\U0001d173-\U0001d17a"
    f"\U000e0000-\U000e00ff\U000e01f0-\U000e0fff{_NONCHARACTERS}]"
)
# What picks one of the looks of the character before it: one behind a Chinese character or a
# Mongolian letter, one behind what is no letter (an emoji, a digit that becomes one).
_LOOKS = "\u180b-\u180d\u180f\ufe00-\ufe0f\U000e0100-\U000e01ef"
_JOINERS = "\u200c\u200d"
_LOST_LOOK = re.compile(
    f"(?<![\u1820-\u18aa\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff])"
    f"[\u180b-\u180d\u180f\ufe00-\ufe0d\U000e0100-\U000e01ef]"
    f"|(?<![^\\s\\w{_LOOKS}{_JOINERS}])(?<![0-9])[\ufe0e\ufe0f]"
)
# A joiner joins two characters of a script that has joins (no Latin letter has) or two emoji.
_SEEN = f"[^\x00-\u024f\\s{_JOINERS}]"
_LOST_JOINER = re.compile(
    f"(?<!{_SEEN})[{_JOINERS}]|[{_JOINERS}](?!{_SEEN})|[{_JOINERS}](?=[{_LOOKS}])"
)


def _marks() -> str:
    """All of category M, as they stand in a set of a regular expression."""
    ranges, start = list[str](), None
    for each in range(0x300, 0x20000):
        is_mark = unicodedata.category(chr(each))[0] == "M"
        if is_mark and start is None:
            start = each
        elif not is_mark and start is not None:
            ranges.append(f"{chr(start)}-{chr(each - 1)}")
            start = None
    return "".join(ranges)


# More marks on one letter than any language writes: they run over the lines around it. Burmese and
# Tibetan put up to eight on one, the others four.
_FEW_MARKS = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{4})"
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)
_M = _marks()
_MARKS = re.compile(f"([{_M}{_JOINERS}]{{8}})[{_M}{_JOINERS}]+")


def cleaned(text: str, *, keep_lines: bool = False) -> str:
    """Without control characters, lone surrogates, unseen ones and marks that turn text around.

    Line breaks and tabs stay with `keep_lines`; else each becomes a space, so that words stay
    apart. So does what looks like one and is none to Unicode: Braille without a dot.
    """
    if text.isascii():
        plain = text.replace("\n", "").replace("\t", "") if keep_lines else text
        if plain.isprintable():
            return text
    lines = _LINE_BREAK.sub("\n", text.replace("\u2800", " "))
    spaced = lines if keep_lines else lines.replace("\n", " ").replace("\t", " ")
    seen = _LOST_JOINER.sub("", _LOST_LOOK.sub("", _UNSAFE.sub("", spaced)))
    seen = _MARKS.sub(r"\1", _FEW_MARKS.sub(r"\1", seen))
    return _LOST_JOINER.sub("", seen)  # one that joined to a mark too many
