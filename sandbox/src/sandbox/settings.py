"""The settings of the sandbox, from the environment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sandbox.state import DEFAULT_CAPACITY


class BadSetting(Exception):
    """A setting cannot be read; the message names it, its value and what it should be."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`smtp_port` 0 means no SMTP sink; `capacity` is a number of entries."""

    host: str
    port: int
    smtp_port: int
    capacity: int


def read_settings(environ: Mapping[str, str]) -> Settings:
    """Read LEADFLOW_SANDBOX_HOST, _PORT and _MAX, and LEADFLOW_SMTP_SINK_PORT."""
    return Settings(
        host=environ.get("LEADFLOW_SANDBOX_HOST", "127.0.0.1"),
        port=_number(environ, "LEADFLOW_SANDBOX_PORT", 8081, 1, 65535),
        smtp_port=_number(environ, "LEADFLOW_SMTP_SINK_PORT", 8025, 0, 65535),
        capacity=_number(environ, "LEADFLOW_SANDBOX_MAX", DEFAULT_CAPACITY, 1, 100_000_000),
    )


def _number(environ: Mapping[str, str], name: str, default: int, least: int, most: int) -> int:
    text = environ.get(name, str(default))
    if text.isascii() and text.isdigit() and least <= int(text) <= most:
        return int(text)
    raise BadSetting(f"{name} must be a whole number from {least} to {most}, not {text!r}")
