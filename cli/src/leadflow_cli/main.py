"""The `leadflow` command. Each command has a module of its own in `commands`."""

from __future__ import annotations

import sys
from typing import Any

import typer
from typer.core import TyperGroup

from leadflow import logs
from leadflow.errors import LeadflowError
from leadflow_cli.commands.bench import bench
from leadflow_cli.commands.crm import crm
from leadflow_cli.commands.demo import demo
from leadflow_cli.commands.dlq import dlq
from leadflow_cli.commands.doctor import doctor
from leadflow_cli.commands.follow import follow
from leadflow_cli.commands.lead import lead
from leadflow_cli.commands.ledger import ledger
from leadflow_cli.commands.prepare import prepare
from leadflow_cli.commands.send import send
from leadflow_cli.commands.simulate import simulate
from leadflow_cli.commands.token import token
from leadflow_cli.commands.topics import topics
from leadflow_cli.commands.up import up
from leadflow_cli.commands.why import why
from leadflow_cli.errors import CliError


class Commands(TyperGroup):
    """Ends a command that raised one of our errors with its sentence and exit code 1. Logs go to
    stderr, whatever the command."""

    def invoke(self, ctx: Any) -> Any:
        logs.configure_command()
        try:
            return super().invoke(ctx)
        except (CliError, LeadflowError) as error:
            print(f"leadflow: {error}", file=sys.stderr)
            raise SystemExit(1) from None


app = typer.Typer(
    cls=Commands,
    help="Follows up every lead, once, on time, and can prove it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (up, demo, send, follow, token, topics, lead, why, simulate):
    app.command()(command)
app.add_typer(dlq, name="dlq")
app.add_typer(ledger, name="ledger")
app.add_typer(crm, name="crm")
for command in (bench, doctor, prepare):
    app.command()(command)

if __name__ == "__main__":
    app()
