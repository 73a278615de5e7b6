"""The five services and the sandbox: how each is started and told what it needs."""

from __future__ import annotations

import hmac
import os
import sys
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from leadflow_cli.child import Program
from leadflow_cli.errors import CliError
from leadflow_cli.ports import Ports
from leadflow_cli.probes import http_ready
from leadflow_cli.repository import shipped_settings

HOST = "127.0.0.1"
SANDBOX = "sandbox"
# Stopped first are the services, then what they call, then the servers (tier 0).
SANDBOX_TIER = 1
SERVICE_TIER = 2
# Each is told by name; what an administrator set for the stack itself is not handed on.
_KEPT_FROM_SERVICES = (
    "LEADFLOW_DATABASE_URL",
    "LEADFLOW_SECRET",
    "LEADFLOW_LINK_SECRET",
    "LEADFLOW_ACCOUNT_SECRET",
    "LEADFLOW_API_KEY",
)
# Who makes the links and addresses that leave the house, and who is asked for them.
_MAKE_OR_OPEN_LINKS = ("dispatcher", "portal")


@dataclass(frozen=True)
class Service:
    """`port` is its field of `Ports`; `role` its PostgreSQL role, None if it keeps no rows."""

    name: str
    package: str
    port: str
    role: str | None


SERVICES = {
    service.name: service
    for service in (
        Service("intake", "intake", "intake", "intake"),
        Service("sequencer", "sequencer", "sequencer", None),
        Service("dispatcher", "dispatcher", "dispatcher", "dispatcher"),
        Service("crm-sync", "crm_sync", "crm_sync", "crm_sync"),
        Service("portal", "portal_api", "portal", "portal"),
    )
}


@dataclass(frozen=True)
class Surroundings:
    """What programs are built from. `database_url` is an administrator's."""

    folder: Path
    ports: Ports
    environment: Mapping[str, str]
    kafka_bootstrap: str
    database_url: str
    secret: str


def link_secret(around: Surroundings) -> str:
    """LEADFLOW_LINK_SECRET, else one that follows from the installation's secret and does not
    tell it: whoever makes links must not be able to sign people in."""
    given = around.environment.get("LEADFLOW_LINK_SECRET")
    return given or hmac.new(around.secret.encode(), b"links", "sha256").hexdigest()


def account_secret(around: Surroundings) -> str:
    """LEADFLOW_ACCOUNT_SECRET, else 32 bytes that follow from the installation's secret and do not
    tell it: what the secrets of CRM accounts are sealed under."""
    given = around.environment.get("LEADFLOW_ACCOUNT_SECRET")
    made = hmac.new(around.secret.encode(), b"CRM accounts", "sha256").digest()
    return given or b64encode(made).decode()


def service_of(instance: str) -> Service:
    """`sequencer` and `sequencer-2` are both the sequencer. Raises CliError for another name."""
    base, dash, number = instance.rpartition("-")
    name = base if dash and number.isdigit() else instance
    if name not in SERVICES:
        raise CliError(f"there is no service {instance}: there are {', '.join(SERVICES)}")
    return SERVICES[name]


def service_program(instance: str, port: int, around: Surroundings) -> Program:
    """How one instance of a service is run, its health on `port`."""
    from leadflow.database import CLIENT_ROLE, role_url

    service = service_of(instance)
    environment = _base(around.environment)
    environment |= {
        "LEADFLOW_KAFKA_BOOTSTRAP": around.kafka_bootstrap,
        "LEADFLOW_HEALTH_HOST": HOST,
        "LEADFLOW_HEALTH_PORT": str(port),
        "LEADFLOW_DATA_DIR": str(around.folder / instance),
    }
    if service.role is not None:
        environment["LEADFLOW_DATABASE_URL"] = role_url(
            around.database_url, service.role, around.secret
        )
    if service.name in _MAKE_OR_OPEN_LINKS:
        environment["LEADFLOW_LINK_SECRET"] = link_secret(around)
    if service.name == "crm-sync":
        environment["LEADFLOW_ACCOUNT_SECRET"] = account_secret(around)
    if service.name == "portal":
        environment |= {
            "LEADFLOW_SECRET": around.secret,
            "LEADFLOW_PORTAL_HOST": HOST,
            "LEADFLOW_PORTAL_PORT": str(port),
            "LEADFLOW_CLIENT_DATABASE_URL": role_url(
                around.database_url, CLIENT_ROLE, around.secret
            ),
        }
    sandbox = f"http://{HOST}:{around.ports.sandbox}"
    for name, value in {
        "LEADFLOW_PROVIDERS_URL": f"{sandbox}/providers",
        "LEADFLOW_CRM_URL": f"{sandbox}/crm",
        "LEADFLOW_SMTP_URL": f"smtp://{HOST}:{around.ports.smtp_sink}",
        "LEADFLOW_PUBLIC_URL": f"http://{HOST}:{around.ports.portal}",
        **shipped_settings(),
    }.items():
        environment.setdefault(name, value)
    (around.folder / instance).mkdir(parents=True, exist_ok=True)
    return Program(
        name=instance,
        command=[sys.executable, "-P", "-m", service.package],
        environment=environment,
        log=around.folder / "logs" / f"{instance}.log",
        ready=http_ready(port),
        address=f"http://{HOST}:{port}",
        tier=SERVICE_TIER,
    )


def sandbox_program(folder: Path, ports: Ports, environment: Mapping[str, str]) -> Program:
    """How the provider and CRM sandbox is run."""
    return Program(
        name=SANDBOX,
        command=[sys.executable, "-P", "-m", "sandbox"],
        environment=_base(environment)
        | {
            "LEADFLOW_SANDBOX_HOST": HOST,
            "LEADFLOW_SANDBOX_PORT": str(ports.sandbox),
            "LEADFLOW_SMTP_SINK_PORT": str(ports.smtp_sink),
        },
        log=folder / "logs" / f"{SANDBOX}.log",
        ready=http_ready(ports.sandbox, "/healthz"),
        address=f"http://{HOST}:{ports.sandbox}",
        tier=SANDBOX_TIER,
        stop_seconds=5.0,
        restartable=False,  # what it accepted would be forgotten
    )


def _base(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment handed on: unbuffered, so that a dying process's last words are kept."""
    base = {name: value for name, value in environment.items() if name not in _KEPT_FROM_SERVICES}
    return base | {"PYTHONUNBUFFERED": "1", "PATH": environment.get("PATH", os.defpath)}
