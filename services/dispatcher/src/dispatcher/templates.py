"""Liquid templates, sandboxed: no loops, no loader, an allow-list of values, tags and filters.

A value that is missing and has no fallback is an error, never a hole in the text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import NewType

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

_LINE_BREAK = re.compile("\r\n|[\r\u0085\u2028\u2029]")
# Control characters but tab and newline (category Cc), surrogates, and the marks that turn the
# direction of text around, so that it reads otherwise than it is (Unicode Annex 9).
_UNSAFE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)

# What `allowed` let through: the only values that a template gets to see.
Values = NewType("Values", dict[str, str])


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


def render_text(template: str, values: Values) -> str:
    """The text of a body. Raises TemplateError."""
    return cleaned(_render(template, values), keep_lines=True).strip()


def render_line(template: str, values: Values) -> str:
    """The text of a subject: one line, whatever the values hold. Raises TemplateError."""
    line = " ".join(cleaned(_render(template, values)).split())
    if len(line) > MAX_SUBJECT_CHARS:
        raise TemplateError("template_limit", limit=f"{MAX_SUBJECT_CHARS} characters in a subject")
    return line


def _render(template: str, values: Values) -> str:
    if len(template) > MAX_TEMPLATE_CHARS:
        raise TemplateError(
            "template_limit", limit=f"{MAX_TEMPLATE_CHARS} characters in a template"
        )
    try:
        return _parse(template).render(values)
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


def allowed(values: Mapping[str, str]) -> Values:
    """What a template may see: values of the allow-list that are there, without tricks."""
    seen = {}
    for name, value in values.items():
        if name not in VARIABLES:
            continue
        text = cleaned(value).strip()
        if text:
            if len(text) > MAX_VALUE_CHARS:
                raise TemplateError(
                    "template_limit", limit=f"{MAX_VALUE_CHARS} characters in {name}"
                )
            seen[name] = text
    return Values(seen)


def cleaned(text: str, *, keep_lines: bool = False) -> str:
    """Without control characters, lone surrogates and marks that turn text around.

    Line breaks and tabs stay with `keep_lines`; else each becomes a space, so that words stay
    apart.
    """
    if text.isascii() and text.isprintable():
        return text
    lines = _LINE_BREAK.sub("\n", text)
    return _UNSAFE.sub("", lines if keep_lines else lines.replace("\n", " ").replace("\t", " "))
