"""Structured logs, one JSON object a line, without what the schemas mark as personal."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

from leadflow.records import RECORD_TYPES, Nested, Record

REDACTED = "[redacted]"

PERSONAL_FIELDS: frozenset[str] = frozenset().union(
    *(record_type.PII for record_type in RECORD_TYPES),
    *(nested.PII for nested in Nested.__subclasses__()),
)


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: hides personal fields, at any depth, by their schema's word."""
    for key, value in event.items():
        event[key] = _clean(key, value)
    return event


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


def configure(service: str, level: str = "info") -> None:
    """Send our logs and those of the libraries to stderr, as JSON lines of one shape."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
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
