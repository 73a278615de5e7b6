"""How soon the lead wants something: urgent, high, normal or low."""

from __future__ import annotations

import re

# Tried from the top; the first that is found decides.
WORDS: tuple[tuple[str, re.Pattern[str]], ...] = tuple(
    (level, re.compile(rf"\b(?:{words})\b"))
    for level, words in (
        ("low", r"not urgent|no rush|no hurry|non[- ]urgent"),
        (
            "urgent",
            r"urgent|urgently|emergency|asap|as soon as possible|immediate|immediately"
            r"|right away|right now|now|today|tonight|same day|critical",
        ),
        (
            "high",
            r"high|soon|tomorrow|this week|within a week|within days|next few days"
            r"|24 hours|48 hours|this weekend",
        ),
        (
            "low",
            r"low|researching|research|just looking|browsing|someday|sometime|next year"
            r"|(?:next )?\d+\s*(?:to|-|–)?\s*\d*\s*months?|next quarter|flexible|planning",
        ),
        ("normal", r"normal|medium|standard|this month|next month|within a month|next week|weeks?"),
    )
)


def urgency(given: str | None) -> str | None:
    """None when nothing is said, normal when it is not understood."""
    if given is None:
        return None
    words = given.lower().replace("_", " ")
    return next((level for level, pattern in WORDS if pattern.search(words)), "normal")
