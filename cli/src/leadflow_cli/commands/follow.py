"""`leadflow follow`: files of raw events through a running leadflow, to the table at the end."""

from __future__ import annotations

import os
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from leadflow_cli.commands.send import send_file, told
from leadflow_cli.errors import CliError
from leadflow_cli.expected import Expected
from leadflow_cli.following import Follower, Pause
from leadflow_cli.groups import Groups
from leadflow_cli.portal_client import PortalClient
from leadflow_cli.progress import Progress
from leadflow_cli.reading import reader
from leadflow_cli.report import checks, lines, rows
from leadflow_cli.repository import demo_folder
from leadflow_cli.sandbox_client import SandboxClient
from leadflow_cli.targets import Target
from leadflow_cli.terminal import console

DEMO_FILES = ("leads.jsonl", "followups.jsonl")
REVIEWER = "demo-reviewer"


@dataclass(frozen=True)
class Endpoints:
    """Where everything is, and the keys to it: one may read totals, one may review."""

    kafka_bootstrap: str
    portal_url: str
    sandbox_url: str
    api_key: str
    reviewer_key: str

    @classmethod
    def of(cls, target: Target) -> Endpoints:
        """Raises CliError that names what is missing."""
        return cls(
            kafka_bootstrap=target.kafka_bootstrap,
            portal_url=target.portal_url,
            sandbox_url=target.sandbox_url,
            api_key=target.api_key("ops", "leadflow-cli"),
            reviewer_key=target.api_key("reviewer", REVIEWER),
        )


def follow(
    files: Annotated[
        list[Path] | None,
        typer.Argument(help="JSON raw events, one a line; without any, the demo's own."),
    ] = None,
    approve: Annotated[
        bool, typer.Option(help="Approve one summary, as the reviewer would.")
    ] = True,
) -> None:
    """Send files through the leadflow that runs and follow them until all is accounted for.

    It is found as every command finds it, or named by LEADFLOW_KAFKA_BOOTSTRAP,
    LEADFLOW_PORTAL_URL, LEADFLOW_SANDBOX_URL and LEADFLOW_API_KEY (a key of role admin).
    """
    endpoints = Endpoints.of(Target.find(os.environ))
    idle = threading.Event()

    def pause(seconds: float) -> None:
        idle.wait(seconds)

    send_through(console(), endpoints, chosen(files), pause=pause, approve=approve)


def chosen(files: list[Path] | None) -> list[Path]:
    """The files that were named, else the demo's. Raises CliError when one is not there."""
    paths = files or [demo_folder(os.environ) / name for name in DEMO_FILES]
    for path in paths:
        if not path.is_file():
            raise CliError(f"there is no file {path}")
    return paths


def send_through(
    out: Console, endpoints: Endpoints, files: list[Path], *, pause: Pause, approve: bool
) -> None:
    """Send one file after the other, each once the one before came to its end; approve a
    summary; print the table. Raises CliError when something does not add up."""
    expected = Expected.read(files)
    with ExitStack() as stack:
        portal = stack.enter_context(PortalClient(endpoints.portal_url, endpoints.api_key))
        sandbox = stack.enter_context(SandboxClient(endpoints.sandbox_url))
        log = stack.enter_context(reader(endpoints.kafka_bootstrap))
        groups = Groups(endpoints.kafka_bootstrap)
        progress = Progress(out)
        follower = Follower(log, groups, portal, pause=pause, show=progress.show)
        for file in files:
            sent = send_file(endpoints.kafka_bootstrap, str(file))
            out.print(f"{file.name}: {sent.lines} raw events sent in {sent.seconds:.1f} s")
            for line in told(sent):
                out.print(f"  {line}", soft_wrap=True)
            with progress:
                follower.settle()
        if approve:
            _approve_one(out, endpoints)
            with progress:
                follower.settle()
        contacts = sandbox.crm_counts()["contacts"]
        _print_table(out, rows(follower.totals, contacts))
        made = checks(
            follower.accounts,
            follower.totals,
            from_the_start=follower.from_the_start,
            expected=expected,
            accepted=sandbox.accepted(),
            contacts=contacts,
        )
    for line in lines(made):
        out.print(line, soft_wrap=True)
    if failed := [check.claim for check in made if check.against]:
        raise CliError("it does not add up: not true is that " + "; that ".join(failed))


def _approve_one(out: Console, endpoints: Endpoints) -> None:
    with PortalClient(endpoints.portal_url, endpoints.reviewer_key) as portal:
        summary = portal.pending_summary()
        if summary is None:
            out.print("no summary waits for its review")
            return
        portal.approve(summary)
    out.print(f"one summary approved, of lead {summary['lead_id']}")


def _print_table(out: Console, values: list[tuple[str, str]]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 3, 0, 2))
    table.add_column()
    table.add_column(justify="right")
    for name, value in values:
        table.add_row(name, value)
    out.print()
    out.print(table)
    out.print()
