"""`leadflow demo`: everything from nothing, with the shipped leads, to a page to look at."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from leadflow_cli.commands.follow import Endpoints, chosen, send_through
from leadflow_cli.commands.token import Role, sign_in_link
from leadflow_cli.commands.up import say, serve
from leadflow_cli.home import leadflow_home, require_running
from leadflow_cli.stack import Stack
from leadflow_cli.targets import Target
from leadflow_cli.terminal import console


def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="Stop after the table, in place of running on.")
    ] = False,
    file: Annotated[
        Path | None, typer.Option(help="Raw events of your own in place of the shipped leads.")
    ] = None,
) -> None:
    """Start a leadflow from nothing, send the shipped leads through it and show what came of it.

    Its folder is LEADFLOW_HOME/demo, emptied at each start. Ctrl-C stops everything.
    """
    files = chosen([file] if file else None)
    home = leadflow_home(os.environ)
    serve(Stack(home, name="demo", fresh=True, say=say), partial(_run, files=files, leave=leave))


def _run(stack: Stack, *, files: list[Path], leave: bool) -> None:
    running = require_running(stack.home)
    endpoints = Endpoints.of(Target.of(running, os.environ))
    send_through(
        console(), endpoints, files, pause=partial(stack.pause, restart=True), approve=True
    )
    if leave:
        return
    say(f"portal, signed in:  {sign_in_link(running, Role.ADMIN, subject='demo')}")
    say("Ctrl-C stops everything.")
    stack.wait(restart=True)
