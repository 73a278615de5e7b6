"""Structured logs, one JSON object a line, without what the schemas mark as personal."""

from __future__ import annotations

import logging
import sys
import traceback
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from leadflow.errors import PublicReason, public_reason
from leadflow.records import RECORD_TYPES, Nested, Record

REDACTED = "[redacted]"

PERSONAL_FIELDS: frozenset[str] = frozenset().union(
    *(record_type.PII for record_type in RECORD_TYPES),
    *(nested.PII for nested in Nested.__subclasses__()),
)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: hides personal fields, at any depth, by their schema's word.

    What `public_reason` says of an error stays under any name: it holds nothing personal.
    """
    for key, value in event.items():
        if not isinstance(value, PublicReason):
            event[key] = _clean(key, value)
    return event


def personal_hidden(record: Record) -> dict[str, Any]:
    """A record's type and fields, the personal ones hidden at any depth."""
    shown: dict[str, Any] = _clean("", record)
    return shown


def _clean(key: str, value: Any) -> Any:
    if key in PERSONAL_FIELDS and value is not None:
        return REDACTED
    if isinstance(value, Record):
        return {"type": value.TYPE, **_clean("", value.to_avro())}
    if isinstance(value, Nested):
        return _clean("", value.to_avro())
    if isinstance(value, Mapping):
        return {name: _clean(str(name), item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_clean("", item) for item in value]
    return value


def describe_error(
    _logger: Any, _method: str, event: MutableMapping[str, Any]
) -> MutableMapping[str, Any]:
    """A structlog processor: `exc_info` becomes where it happened and what kind of error it was.

    Texts of foreign errors are left out: PostgreSQL's repeat the row that broke a rule.
    """
    error = event.pop("exc_info", None)
    if isinstance(error, tuple):
        error = error[1]
    elif error and not isinstance(error, BaseException):
        error = sys.exc_info()[1]
    if error:
        event["exception"] = _described(error)
    return event


def _described(error: BaseException) -> str:
    before = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    lines = [_described(before) + "which led to\n"] if before else []
    lines += traceback.format_tb(error.__traceback__)
    name, reason = type(error).__name__, public_reason(error)
    lines.append(f"{name}\n" if reason == name else f"{name}: {reason}\n")
    if isinstance(error, BaseExceptionGroup):
        lines += map(_described, error.exceptions)
    return "".join(lines)


def configure(service: str, level: str = "info") -> None:
    """Send our logs and those of the libraries to stderr, as JSON lines of one shape."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        describe_error,
        redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.processors.JSONRenderer(default=str)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    # Libraries say at warning what an operator can act on; below that they are chatter.
    root.setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


def configure_command() -> None:
    """Send our logs to stderr, as lines for people: what a command prints on stdout is data.

    stderr is looked up for each line, so that nothing holds one that was replaced or closed.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            describe_error,
            redact,
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        logger_factory=lambda *_: structlog.WriteLogger(sys.stderr),
        cache_logger_on_first_use=False,
    )
