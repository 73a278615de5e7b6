"""Liquid templates, sandboxed: no loops, no loader, an allow-list of values, tags and filters.

A value that is missing and has no fallback is an error, never a hole in the text. What a render
may cost is counted, not timed: markups, characters that filters work on, bytes of output.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache, wraps
from typing import Any, NewType

from liquid import BoundTemplate, Environment
from liquid import escape as markup
from liquid.ast import Node
from liquid.builtin.content import ContentNode
from liquid.builtin.expressions import FilteredExpression, Path
from liquid.builtin.expressions.primitive import RangeLiteral
from liquid.builtin.output import OutputNode
from liquid.context import RenderContext
from liquid.exceptions import (
    BlockNestingError,
    ContextDepthError,
    FilterArgumentError,
    FilterError,
    FilterValueError,
    LiquidError,
    LocalNamespaceLimitError,
    OutputStreamLimitError,
    ResourceLimitError,
    UndefinedError,
)
from liquid.expression import Expression
from liquid.undefined import FalsyStrictUndefined

from rendering.cleaning import cleaned
from rendering.errors import TemplateError
from rendering.scanning import TAGS, scan_template
from rendering.stray_links import would_be_a_link
from rendering.variables import LEAD_VARIABLES, VARIABLES

FILTERS = (
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
    "url_encode",
)
# What the library itself makes nodes of, beside the tags that a template may name.
_NODES = frozenset({"#", "content", "illegal", "output"})

MAX_VALUE_CHARS = 2_000
MAX_OUTPUT_BYTES = 100_000
MOST_BYTES_A_CHAR = 4  # in UTF-8
MAX_LOCALS_BYTES = 20_000
MAX_FILTERED_CHARS = 20_000
MAX_FILTER_WORK_CHARS = 1_000_000
MAX_SUBJECT_CHARS = 300
# What a filter costs however little it is given, and how often it counts a character; this one
# parses HTML in Python.
FILTER_CHARS = 100
WEIGHTS = {"strip_html": 10}

# These put something to a text, or take its place; the others change it.
_LEAVE_WHOLE = frozenset({"append", "default", "escape", "prepend", "url_encode"})
_OF_LEAD = frozenset(LEAD_VARIABLES)

# What `allowed` let through: the only values that a template gets to see.
Values = NewType("Values", dict[str, str])


class Hole(str):
    """What a preview shows in the place of a value that is missing, as it is whatever a filter
    would take away of it or change in it."""

    __slots__ = ()


class _Missing(FalsyStrictUndefined):
    """A missing value: false in a condition, replaced by `default`, an error in the text."""

    force_liquid_default = True


class _Sandbox(Environment):
    block_nesting_limit = 10
    context_depth_limit = 5
    loop_iteration_limit = 1
    local_namespace_limit = MAX_LOCALS_BYTES
    output_stream_limit = MAX_OUTPUT_BYTES


def _limit(what: str) -> ResourceLimitError:
    return ResourceLimitError(what, token=None)


def _bounded(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The filter, for texts of a bounded length, as often as the work of a render allows."""

    weight = WEIGHTS.get(name, 1)

    @wraps(function)
    def bounded(value: object, *args: Any, context: RenderContext, **kwargs: Any) -> Any:
        texts = [str(each) for each in (value, *args) if isinstance(each, str)]
        spent = context.tag_namespace.get("filter_work", 0)
        spent += FILTER_CHARS + weight * sum(map(len, texts))
        context.tag_namespace["filter_work"] = spent
        if spent > MAX_FILTER_WORK_CHARS:
            raise _limit("filter work")
        if isinstance(value, Hole) and name not in _LEAVE_WHOLE:
            return value
        if name == "replace" and len(texts) > 1:
            old, new = texts[1], texts[2] if len(texts) > 2 else ""
            times = texts[0].count(old) if old else len(texts[0]) + 1
            if len(texts[0]) + times * len(new) > MAX_FILTERED_CHARS:
                raise _limit("filtered text")
        result = function(value, *args, **kwargs)
        if name == "default" and isinstance(value, _Missing) and _is_blank(result):
            return value  # a fallback that nobody sees is none; an empty one leaves out on purpose
        if isinstance(result, str) and len(result) > MAX_FILTERED_CHARS:
            raise _limit("filtered text")
        return result

    bounded.with_context = True  # type: ignore[attr-defined]
    return bounded


def _is_blank(result: object) -> bool:
    return result is None or (
        isinstance(result, str) and result != "" and not cleaned(result).strip()
    )


def _sandbox(*, escape: bool) -> Environment:
    environment = _Sandbox(undefined=_Missing, autoescape=escape)
    kept = _NODES.union(TAGS)
    environment.tags = {name: tag for name, tag in environment.tags.items() if name in kept}
    environment.filters = {name: _bounded(name, environment.filters[name]) for name in FILTERS}
    return environment


_TEXT, _HTML = _sandbox(escape=False), _sandbox(escape=True)


@lru_cache(maxsize=512)
def _parse(template: str, escape: bool) -> BoundTemplate:
    """Raises TemplateError: the message names what in the template is wrong."""
    scan_template(template)
    try:
        parsed = (_HTML if escape else _TEXT).from_string(template)
        _hold_to_the_lists(parsed)
    except LiquidError as error:
        # At this point no value has been put in: the message is about the template alone.
        said = cleaned(str(error.args[0])) if error.args else _words_for(error)
        raise TemplateError("template_error", error=said[:120]) from None
    except (TypeError, ValueError, ArithmeticError, RecursionError, AttributeError) as error:
        # The library lets some of Python's own errors through.
        raise TemplateError("template_error", error=_words_for(error)) from None
    return parsed


def _hold_to_the_lists(template: BoundTemplate) -> None:
    """Raises TemplateError for an unknown name or filter, a part of a value, or a range."""
    context = RenderContext(template)
    expressions: list[Expression] = []
    own: set[str] = set()
    for node in _nodes(template, context):
        expressions += node.expressions()
        own |= {str(name) for name in node.template_scope()}
    known = own.union(VARIABLES)
    while expressions:
        each = expressions.pop()
        if isinstance(each, FilteredExpression):
            for unknown in (one.name for one in each.filters or () if one.name not in FILTERS):
                raise TemplateError(
                    "template_filter_unknown", filter=unknown[:60], known=", ".join(FILTERS)
                )
        if isinstance(each, RangeLiteral):
            # `in` searches a range of numbers for a text from end to end.
            raise TemplateError("template_error", error="there are no ranges (a..b)")
        if isinstance(each, Path):
            name = str(each.path[0])
            if name not in known:
                raise TemplateError(
                    "template_variable_unknown", value=name[:60], known=", ".join(VARIABLES)
                )
            if len(each.path) > 1:
                raise TemplateError(
                    "template_error", error=f"{name[:60]} is a text: it has no parts"
                )
        expressions += each.children()


def _nodes(template: BoundTemplate, context: RenderContext) -> Iterator[Node]:
    waiting: list[Node] = list(template.nodes)
    while waiting:
        node = waiting.pop()
        yield node
        waiting += node.children(context)


def check(template: str) -> None:
    """Raises TemplateError if no lead could ever get this text: for whoever writes it."""
    _parse(template, False)


def render_text(template: str, values: Values) -> str:
    """The text of a body. Raises TemplateError."""
    return cleaned(_render(template, values, escape=False), keep_lines=True).strip()


def render_html(template: str, values: Values) -> str:
    """Unsanitized HTML, values escaped. Raises TemplateError."""
    return cleaned(_render(template, values, escape=True), keep_lines=True).strip()


def render_line(template: str, values: Values) -> str:
    """The text of a subject: one line, whatever the values hold. Raises TemplateError."""
    line = " ".join(cleaned(_render(template, values, escape=False)).split())
    if len(line) > MAX_SUBJECT_CHARS:
        raise TemplateError("template_limit", limit=f"{MAX_SUBJECT_CHARS} characters in a subject")
    return line


@lru_cache(maxsize=512)
def _pieces(template: str, escape: bool) -> tuple[tuple[bool, str], ...] | None:
    """A template of words and plain `{{ name }}` alone, as most are: (is a name, words or name) in
    turn; None for any other. Raises TemplateError."""
    pieces: list[tuple[bool, str]] = []
    for node in _parse(template, escape).nodes:
        match node:
            case ContentNode():
                pieces.append((False, node.text))
            case OutputNode(
                expression=FilteredExpression(left=Path(path=[str() as name]), filters=[])
            ):
                pieces.append((True, name))
            case _:
                return None
    return tuple(pieces)


def _joined(template: str, values: Values, *, escape: bool) -> str | None:
    """What the library would make of it, at a tenth of the cost; None where it is to be asked: for
    anything but words and names, what is missing, and what may be too long."""
    pieces = _pieces(template, escape)
    if pieces is None:
        return None
    try:
        text = "".join(
            [
                (str(markup(values[each])) if escape else values[each]) if is_name else each
                for is_name, each in pieces
            ]
        )
    except KeyError:
        return None
    return text if len(text) * MOST_BYTES_A_CHAR <= MAX_OUTPUT_BYTES else None


def _render(template: str, values: Values, *, escape: bool) -> str:
    joined = _joined(template, values, escape=escape)
    if joined is not None:
        return joined
    parsed = _parse(template, escape)
    try:
        return parsed.render(values)
    except UndefinedError as error:
        raise TemplateError("template_value_missing", value=_name(error)) from None
    except ResourceLimitError as error:
        raise TemplateError("template_limit", limit=_limit_of(error)) from None
    except LiquidError as error:
        raise TemplateError("template_error", error=_words_for(error)) from None
    except (TypeError, ValueError, ArithmeticError, RecursionError, AttributeError) as error:
        raise TemplateError("template_error", error=_words_for(error)) from None


def _words_for(error: Exception) -> str:
    """What is wrong, for who wrote the template; the library's own words may quote a value."""
    match error:
        case FilterArgumentError():
            return "a filter is given too many or too few texts, or what is none"
        case FilterValueError() | FilterError():
            return "a filter is given something that it cannot change"
        case ArithmeticError():
            return "a number in it is too large"
        case RecursionError():
            return "it is nested too deeply"
        case _:
            return "it compares or changes what is no text, such as a number"


def _limit_of(error: ResourceLimitError) -> str:
    match error:
        case OutputStreamLimitError():
            return f"{MAX_OUTPUT_BYTES} bytes of text"
        case LocalNamespaceLimitError():
            return f"{MAX_LOCALS_BYTES} bytes of what {{% assign %}} keeps"
        case BlockNestingError() | ContextDepthError():
            return "as many {% if %} within each other"
    if str(error.message) == "filter work":
        return f"{MAX_FILTER_WORK_CHARS} characters of filter work"
    return f"{MAX_FILTERED_CHARS} characters out of a filter"


def _name(error: UndefinedError) -> str:
    found = re.match(r"'?([a-z_][a-z0-9_.]{0,60})'? is undefined", str(error.message))
    return found[1] if found else "?"


def allowed(values: Mapping[str, str]) -> Values:
    """What a template may see: values of the allow-list that are there, without tricks. What a lead
    typed that would become a link counts as missing: the fallback takes its place."""
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
            if name not in _OF_LEAD or not would_be_a_link(name, text):
                seen[name] = text
    return Values(seen)
