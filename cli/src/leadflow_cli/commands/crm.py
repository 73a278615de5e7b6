"""`leadflow crm`: the CRMs that leads are kept in."""

from __future__ import annotations

import os
import subprocess
import sys

import typer

from leadflow_cli.home import leadflow_home, require_running
from leadflow_cli.services import service_program
from leadflow_cli.targets import surroundings

crm = typer.Typer(help="The CRMs that leads are kept in.", no_args_is_help=True)


@crm.callback()
def about() -> None:
    """The CRMs that leads are kept in."""


# What follows the command is crm-sync's to understand, --help too.
PASSED_ON = {"allow_extra_args": True, "ignore_unknown_options": True}


@crm.command(context_settings=PASSED_ON, add_help_option=False)
def account(context: typer.Context) -> None:
    """Which CRM account a tenant has: add, list, budget, pause, resume, remove.

    A secret is read from standard input, or from --secret-file. Here, crm-sync's own
    `python -m crm_sync account` is run in the surroundings of the running crm-sync.
    """
    _ask(context, "account")


@crm.command(context_settings=PASSED_ON, add_help_option=False)
def verify(context: typer.Context) -> None:
    """Hold the log and the CRMs together; --repair writes again what differs.

    Run as `account` is, by crm-sync's own `python -m crm_sync verify`. Exit code 0 without drift,
    1 with drift left, 2 where something could not be compared.
    """
    _ask(context, "verify")


def _ask(context: typer.Context, command: str) -> None:
    running = require_running(leadflow_home(os.environ))
    program = service_program(
        "crm-sync", running.ports["crm_sync"], surroundings(running, os.environ)
    )
    asked = [*program.command, command, *context.args]
    done = subprocess.run(asked, env=dict(program.environment), check=False)
    sys.stdout.flush()
    raise typer.Exit(done.returncode)
