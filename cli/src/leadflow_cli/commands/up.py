"""`leadflow up`: everything, until Ctrl-C."""

from __future__ import annotations

import os
from collections.abc import Callable

from leadflow_cli.errors import Interrupted
from leadflow_cli.home import leadflow_home
from leadflow_cli.stack import Stack
from leadflow_cli.supervisor import interrupted_by_signals


def say(line: str) -> None:
    """Print a line now, also into a pipe."""
    print(line, flush=True)


def up() -> None:
    """Start Kafka, PostgreSQL, the sandbox and the five services; Ctrl-C stops them."""
    serve(Stack(leadflow_home(os.environ), say=say), _stay)


def serve(stack: Stack, then: Callable[[Stack], None]) -> None:
    """Start the stack, run `then` and stop the stack whatever happens.

    Returns normally when SIGINT, SIGTERM or SIGHUP asked for the end; a second one kills.
    Raises CliError when a part could not be started or `then` raised it.
    """
    with interrupted_by_signals(stack.supervisor):
        try:
            stack.start()
            then(stack)
        except Interrupted:
            pass
        finally:
            if stack.supervisor.children:
                say("stopping…")
            stack.stop()


def _stay(stack: Stack) -> None:
    say("Sign in with the link of 'leadflow token --role admin --link'.")
    say("Ctrl-C stops everything.")
    stack.wait(restart=True)
