"""What a template would say, and what is wrong with it, in one look."""

from __future__ import annotations

from dataclasses import dataclass

from rendering.errors import TemplateError
from rendering.parts import Parts, Template, render
from rendering.templates import Hole, Values
from rendering.variables import VARIABLES

LONGEST_SUBJECT_CHARS = 78  # RFC 5322, 2.1.1: a line; phones show half of it
SMS_CHARS = 160  # one part in the GSM alphabet


@dataclass(frozen=True, slots=True, kw_only=True)
class Preview:
    """`missing` are the variables that have neither value nor fallback: shown as [name], and the
    message would be held. `parts` is None where nothing comes out; `refused` says why."""

    parts: Parts | None
    missing: tuple[str, ...]
    warnings: tuple[str, ...]
    refused: TemplateError | None


def preview(template: Template, values: Values, *, footer: bool) -> Preview:
    """Never raises: it is for the person who is still writing."""
    filled, missing = Values(dict(values)), list[str]()
    while True:
        try:
            parts = render(template, filled, footer=footer)
        except TemplateError as error:
            name = error.inputs.get("value", "")
            if error.rule != "template_value_missing" or name in filled or name not in VARIABLES:
                return Preview(parts=None, missing=tuple(missing), warnings=(), refused=error)
            filled[name] = Hole(f"[{name}]")
            missing.append(name)
            continue
        return Preview(
            parts=parts,
            missing=tuple(missing),
            warnings=tuple(_warnings(template, parts)),
            refused=None,
        )


def _warnings(template: Template, parts: Parts) -> list[str]:
    found = []
    if template.channel == "email" and len(parts.subject) > LONGEST_SUBJECT_CHARS:
        found.append(f"The subject has {len(parts.subject)} characters: many programs cut it off.")
    if template.channel == "sms" and len(parts.text) > SMS_CHARS:
        found.append(f"The text has {len(parts.text)} characters: it goes out as several messages.")
    if template.channel == "sms" and not parts.text.isascii():
        found.append("The text has characters that make an SMS hold 70 characters instead of 160.")
    return found
