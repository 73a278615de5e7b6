"""Where a command finds what it talks to: a setting names it, or the stack that runs does."""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from dataclasses import dataclass

from leadflow_cli.errors import CliError
from leadflow_cli.home import Running, find_running, leadflow_home
from leadflow_cli.ports import Ports
from leadflow_cli.services import Surroundings, service_program

ANSWER_SECONDS = 60.0
_NAMING = (
    "LEADFLOW_KAFKA_BOOTSTRAP",
    "LEADFLOW_PORTAL_URL",
    "LEADFLOW_SANDBOX_URL",
    "LEADFLOW_API_KEY",
)


@dataclass(frozen=True)
class Target:
    """The settings of this shell, and the stack of its LEADFLOW_HOME if one runs.

    Each property raises CliError, which names the setting, when neither knows.
    """

    environment: Mapping[str, str]
    running: Running | None

    @classmethod
    def find(cls, environment: Mapping[str, str]) -> Target:
        return cls(environment, find_running(leadflow_home(environment)))

    @classmethod
    def of(cls, running: Running, environment: Mapping[str, str]) -> Target:
        """That stack and no other, whatever the settings name."""
        kept = {name: value for name, value in environment.items() if name not in _NAMING}
        return cls(kept, running)

    @property
    def kafka_bootstrap(self) -> str:
        found = self.running.kafka_bootstrap if self.running else None
        return self._setting("LEADFLOW_KAFKA_BOOTSTRAP", found)

    @property
    def portal_url(self) -> str:
        found = self.running.portal_url if self.running else None
        return self._setting("LEADFLOW_PORTAL_URL", found).rstrip("/")

    @property
    def sandbox_url(self) -> str:
        found = self.running.sandbox_url if self.running else None
        return self._setting("LEADFLOW_SANDBOX_URL", found).rstrip("/")

    @property
    def database_url(self) -> str:
        """A role's that may read the dispatcher's schema: its own, or an administrator's."""
        found = self.running.database_url if self.running else None
        return self._setting("LEADFLOW_DATABASE_URL", found)

    def api_key(self, role: str, subject: str) -> str:
        """LEADFLOW_API_KEY, else a new key of the running stack for that role."""
        if key := self.environment.get("LEADFLOW_API_KEY"):
            return key
        if self.running is None:
            raise CliError(
                "LEADFLOW_API_KEY is not set and no leadflow runs here: make a key with "
                "'python -m portal_api token --role admin' where the portal runs"
            )
        return ask_portal(self.running, self.environment, "token", "--role", role, subject=subject)

    def _setting(self, name: str, found: str | None) -> str:
        value = self.environment.get(name) or found
        if value is None:
            raise CliError(f"{name} is not set and no leadflow runs: start one with 'leadflow up'")
        return value


def ask_portal(
    running: Running, environment: Mapping[str, str], *arguments: str, subject: str | None = None
) -> str:
    """The one line that `python -m portal_api ARGUMENTS` prints in the portal's surroundings.

    Raises CliError with what it said when it fails.
    """
    around = surroundings(running, environment)
    program = service_program("portal", running.ports["portal"], around)
    command = [*program.command, *arguments]
    if subject is not None:
        command += ["--subject", subject]
    try:
        asked = subprocess.run(
            command,
            env=dict(program.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=ANSWER_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise CliError(f"the portal did not make a {arguments[0]} in time") from error
    said = asked.stdout.strip()
    if asked.returncode != 0 or not said:
        reason = asked.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise CliError(f"the portal made no {arguments[0]}: {reason[0]}")
    return said.splitlines()[-1]


def surroundings(running: Running, environment: Mapping[str, str]) -> Surroundings:
    """What the programs of a running stack are built from."""
    return Surroundings(
        folder=running.folder,
        ports=Ports(**running.ports),
        environment=environment,
        kafka_bootstrap=running.kafka_bootstrap,
        database_url=running.database_url,
        secret=running.secret,
    )
