"""Text without the characters that make it read otherwise than it is."""

from __future__ import annotations

import re

_LINE_BREAK = re.compile("\r\n|[\r\u0085\u2028\u2029]")
# Control characters but tab and newline (category Cc), surrogates and noncharacters; the marks that
# turn the direction of text around (Unicode Annex 9); characters that have no width and part words
# unseen, but the two joiners, which scripts and emoji need; the tags, which spell unseen text.
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\ufdd0-\ufdef"
    "\ufffe\uffff\U000e0000-\U000e007f]"
)
# More marks on one letter than any language writes: they run over the lines around it.
_MARKS = re.compile(
    "([\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]{4})"
    "[\u0300-\u036f\u0483-\u0489\u1ab0-\u1aff\u1dc0-\u1dff\u20d0-\u20ff\ufe20-\ufe2f]+"
)


def cleaned(text: str, *, keep_lines: bool = False) -> str:
    """Without control characters, lone surrogates, unseen ones and marks that turn text around.

    Line breaks and tabs stay with `keep_lines`; else each becomes a space, so that words stay
    apart.
    """
    if text.isascii():
        plain = text.replace("\n", "").replace("\t", "") if keep_lines else text
        if plain.isprintable():
            return text
    lines = _LINE_BREAK.sub("\n", text)
    spaced = lines if keep_lines else lines.replace("\n", " ").replace("\t", " ")
    return _MARKS.sub(r"\1", _UNSAFE.sub("", spaced))
