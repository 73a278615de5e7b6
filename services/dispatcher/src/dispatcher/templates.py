"""Liquid templates, sandboxed: no loops, no loader, an allow-list of values, tags and filters.

A value that is missing and has no fallback is an error, never a hole in the text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from functools import lru_cache

from liquid import BoundTemplate, Environment
from liquid.exceptions import LiquidError, ResourceLimitError, UndefinedError
from liquid.undefined import FalsyStrictUndefined

VARIABLES = frozenset(
    {
        "first_name",
        "last_name",
        "company",
        "title",
        "service",
        "street",
        "city",
        "agent",
        "agent_phone",
        "tenant_name",
        "booking_link",
        "unsubscribe_url",
    }
)
TAGS = frozenset({"#", "assign", "case", "comment", "content", "if", "illegal", "output", "unless"})
FILTERS = frozenset(
    {
        "append",
        "capitalize",
        "default",
        "downcase",
        "escape",
        "prepend",
        "remove",
        "replace",
        "squish",
        "strip",
        "strip_html",
        "truncate",
        "truncatewords",
        "upcase",
    }
)

MAX_TEMPLATE_CHARS = 20_000
MAX_VALUE_CHARS = 2_000
MAX_OUTPUT_BYTES = 100_000
MAX_LOCALS_BYTES = 20_000
MAX_SUBJECT_CHARS = 300

# Marks that turn the direction of text around, so that it reads otherwise than it is
# (Unicode Standard Annex 9).
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class TemplateError(Exception):
    """A template that cannot be rendered; `rule` is why the message is held.

    `inputs` name the place, never a person's data.
    """

    def __init__(self, rule: str, **inputs: str) -> None:
        super().__init__(rule)
        self.rule = rule
        self.inputs: Mapping[str, str] = inputs


class _Missing(FalsyStrictUndefined):
    """A missing value: false in a condition, replaced by `default`, an error in the text."""

    force_liquid_default = True


class _Sandbox(Environment):
    block_nesting_limit = 10
    context_depth_limit = 5
    loop_iteration_limit = 1
    local_namespace_limit = MAX_LOCALS_BYTES
    output_stream_limit = MAX_OUTPUT_BYTES


def _sandbox() -> Environment:
    environment = _Sandbox(undefined=_Missing)
    environment.tags = {name: tag for name, tag in environment.tags.items() if name in TAGS}
    environment.filters = {
        name: function for name, function in environment.filters.items() if name in FILTERS
    }
    return environment


_ENVIRONMENT = _sandbox()


@lru_cache(maxsize=1024)
def _parse(template: str) -> BoundTemplate:
    return _ENVIRONMENT.from_string(template)


def render_text(template: str, values: Mapping[str, str]) -> str:
    """The text of a body. Raises TemplateError."""
    return cleaned(_render(template, values), keep="\n\t").strip()


def render_line(template: str, values: Mapping[str, str]) -> str:
    """The text of a subject: one line, whatever the values hold. Raises TemplateError."""
    line = " ".join(cleaned(_render(template, values), keep="\n\t").split())
    if len(line) > MAX_SUBJECT_CHARS:
        raise TemplateError("template_limit", limit=f"{MAX_SUBJECT_CHARS} characters in a subject")
    return line


def _render(template: str, values: Mapping[str, str]) -> str:
    if len(template) > MAX_TEMPLATE_CHARS:
        raise TemplateError(
            "template_limit", limit=f"{MAX_TEMPLATE_CHARS} characters in a template"
        )
    try:
        return _parse(template).render(allowed(values))
    except UndefinedError as error:
        raise TemplateError("template_value_missing", value=_name(error)) from None
    except ResourceLimitError as error:
        raise TemplateError("template_limit", limit=type(error).__name__) from None
    except LiquidError as error:
        raise TemplateError("template_error", error=type(error).__name__) from None
    except (TypeError, ValueError, ArithmeticError, RecursionError, AttributeError) as error:
        # The library lets some of Python's own errors through.
        raise TemplateError("template_error", error=type(error).__name__) from None


def _name(error: UndefinedError) -> str:
    found = re.match(r"'?([a-z_][a-z0-9_.]{0,60})'? is undefined", str(error.message))
    return found[1] if found else "?"


def allowed(values: Mapping[str, str]) -> dict[str, str]:
    """What a template may see: values of the allow-list that are there, without tricks."""
    seen = {}
    for name, value in values.items():
        if name not in VARIABLES:
            continue
        text = cleaned(value, keep="").strip()
        if text:
            if len(text) > MAX_VALUE_CHARS:
                raise TemplateError(
                    "template_limit", limit=f"{MAX_VALUE_CHARS} characters in {name}"
                )
            seen[name] = text
    return seen


def cleaned(text: str, *, keep: str) -> str:
    """Without control characters except `keep`, lone surrogates and marks that turn text around.

    A line break that is not kept becomes a space, so that words stay apart.
    """
    text = (
        text.replace("\r\n", "\n")
        .replace("\r", "\n")
        .replace("\u2028", "\n")
        .replace("\u2029", "\n")
    )
    if text.isascii() and text.isprintable():
        return text
    out = []
    for character in text:
        if character in keep:
            out.append(character)
        elif character in "\n\t":
            out.append(" ")
        elif unicodedata.category(character) not in ("Cc", "Cs") and character not in _TURNING:
            out.append(character)
    return "".join(out)
