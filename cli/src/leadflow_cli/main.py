"""The `leadflow` command. Each command has a module of its own in `commands`."""

from __future__ import annotations

import sys
from typing import Any

import typer
from leadflow.errors import LeadflowError
from typer.core import TyperGroup

from leadflow_cli.commands.doctor import doctor
from leadflow_cli.commands.up import up
from leadflow_cli.errors import CliError


class Commands(TyperGroup):
    """Ends a command that raised one of our errors with its sentence and exit code 1."""

    def invoke(self, ctx: Any) -> Any:
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
app.command()(up)
app.command()(doctor)

if __name__ == "__main__":
    app()
