"""Settings come from environment variables named LEADFLOW_…; a wrong one names itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leadflow.errors import SettingError


@dataclass(frozen=True, slots=True)
class Environment:
    """Reads typed settings; `name` goes without its LEADFLOW_ prefix.

    Every method raises SettingError when the variable is missing and has no default, or
    when it does not hold what it should.
    """

    variables: Mapping[str, str]

    def text(self, name: str, default: str | None = None) -> str:
        value = self.variables.get(f"LEADFLOW_{name}", "").strip()
        if value:
            return value
        if default is None:
            raise SettingError(f"LEADFLOW_{name} is not set")
        return default

    def integer(self, name: str, default: int | None = None, *, at_least: int = 0) -> int:
        value = self.text(name, None if default is None else str(default))
        try:
            number = int(value)
        except ValueError:
            raise SettingError(f"LEADFLOW_{name} takes a whole number, not {value!r}") from None
        if number < at_least:
            raise SettingError(f"LEADFLOW_{name} takes {at_least} or more, not {number}")
        return number

    def number(self, name: str, default: float) -> float:
        value = self.text(name, str(default))
        try:
            return float(value)
        except ValueError:
            raise SettingError(f"LEADFLOW_{name} takes a number, not {value!r}") from None

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        value = self.text(name, default)
        if value not in choices:
            raise SettingError(f"LEADFLOW_{name} takes one of {', '.join(choices)}, not {value!r}")
        return value

    def url(self, name: str, default: str | None = None) -> str:
        value = self.text(name, default)
        if value and "://" not in value:
            raise SettingError(f"LEADFLOW_{name} takes a URL such as scheme://host:port/path")
        return value.rstrip("/")

    def path(self, name: str, default: str | None = None) -> Path:
        return Path(self.text(name, default)).expanduser()


@dataclass(frozen=True, slots=True)
class ServiceSettings:
    """What every service is told."""

    service: str
    kafka_bootstrap: str
    schema_registry_url: str
    health_host: str
    health_port: int
    log_level: str
    watchdog_seconds: float

    @classmethod
    def read(cls, service: str, env: Environment, *, health_port: int = 0) -> ServiceSettings:
        """Raises SettingError. `health_port` 0 lets the system choose."""
        return cls(
            service=service,
            kafka_bootstrap=env.text("KAFKA_BOOTSTRAP"),
            schema_registry_url=env.url("SCHEMA_REGISTRY_URL", ""),
            health_host=env.text("HEALTH_HOST", "127.0.0.1"),
            health_port=env.integer("HEALTH_PORT", health_port),
            log_level=env.choice("LOG_LEVEL", ("debug", "info", "warning", "error"), "info"),
            watchdog_seconds=env.number("WATCHDOG_SECONDS", 120),
        )
