"""Languages as BCP 47 tags (RFC 5646)."""

from __future__ import annotations

import re

NAMES = {
    "english": "en",
    "spanish": "es",
    "español": "es",
    "french": "fr",
    "français": "fr",
    "german": "de",
    "deutsch": "de",
    "italian": "it",
    "italiano": "it",
    "portuguese": "pt",
    "português": "pt",
    "dutch": "nl",
    "polish": "pl",
    "russian": "ru",
    "chinese": "zh",
    "japanese": "ja",
    "korean": "ko",
    "arabic": "ar",
    "hindi": "hi",
    "vietnamese": "vi",
    "welsh": "cy",
}
TAG = re.compile(r"([A-Za-z]{2,3})(?:[-_]([A-Za-z]{4}))?(?:[-_]([A-Za-z]{2}|\d{3}))?")


def language(given: str | None) -> str | None:
    """`en_us` → `en-US`, `Spanish` → `es`; of an Accept-Language list the first; else None."""
    if given is None:
        return None
    first = re.split(r"[,;]", given.strip())[0].strip()
    if name := NAMES.get(first.lower()):
        return name
    found = TAG.fullmatch(first)
    if found is None:
        return None
    tag, script, region = found.groups()
    # RFC 5646, 2.1.1: language in small letters, Script with a capital, REGION in capitals.
    parts = [tag.lower(), script.title() if script else None, region.upper() if region else None]
    return "-".join(part for part in parts if part)
