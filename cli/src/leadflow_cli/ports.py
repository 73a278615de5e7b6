"""The ports of a stack: fixed numbers, each with a setting; free ones for tests."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Self

from leadflow_cli.errors import CliError
from leadflow_cli.processes import free_ports, listener, port_is_free


@dataclass(frozen=True)
class Ports:
    """Port numbers on 127.0.0.1. The setting of `kafka_controller` is
    `LEADFLOW_KAFKA_CONTROLLER_PORT`, and so on; the five services answer health there, and
    `portal` serves its pages and its API on the same port."""

    portal: int = 8080
    sandbox: int = 8081
    smtp_sink: int = 8025
    intake: int = 8091
    sequencer: int = 8092
    dispatcher: int = 8093
    crm_sync: int = 8094
    kafka: int = 19092
    kafka_controller: int = 19093
    postgres: int = 15432

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """The defaults, changed by settings. Raises CliError that names a malformed one."""
        chosen: dict[str, int] = {}
        for field in fields(cls):
            text = environment.get(setting(field.name))
            if text is None:
                continue
            if not (text.isascii() and text.isdigit() and 0 < int(text) < 65536):
                raise CliError(f"{setting(field.name)} is {text!r}: it must be a port, 1 to 65535")
            chosen[field.name] = int(text)
        return cls(**chosen)

    @classmethod
    def free(cls) -> Self:
        """Ports that are free now, for tests."""
        names = [field.name for field in fields(cls)]
        return cls(**dict(zip(names, free_ports(len(names)), strict=True)))


def setting(name: str) -> str:
    """The environment variable that sets the port of that name."""
    return f"LEADFLOW_{name.upper()}_PORT"


def port_problems(wanted: Iterable[tuple[str, int]]) -> list[str]:
    """One sentence for each (name, port) that is in use, or wanted twice."""
    problems: list[str] = []
    seen: dict[int, str] = {}
    for name, port in wanted:
        if port in seen:
            problems.append(
                f"port {port} is wanted twice: change {setting(seen[port])} or {setting(name)}"
            )
        elif not port_is_free(port):
            owner = listener(port)
            who = f"pid {owner.pid}, {owner.name}" if owner else "which one is not known"
            problems.append(
                f"port {port} is in use by another program ({who}): stop it, or set {setting(name)}"
            )
        seen.setdefault(port, name)
    return problems


def check_ports(wanted: Iterable[tuple[str, int]]) -> None:
    """Raise CliError with all of `port_problems`, so that nothing is started in vain."""
    problems = port_problems(wanted)
    if problems:
        raise CliError("\n".join(problems))
