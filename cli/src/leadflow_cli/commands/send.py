"""`leadflow send FILE`: raw events, one a line, to Kafka."""

from __future__ import annotations

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated, BinaryIO

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from leadflow_cli.errors import CliError
from leadflow_cli.lines import ranges, read_lines
from leadflow_cli.sending import Sent
from leadflow_cli.sending import send as send_lines
from leadflow_cli.targets import Target

REASONS_SHOWN = 10


def send(
    file: Annotated[str, typer.Argument(help="JSON raw events, one a line; - reads stdin.")],
    rate: Annotated[
        float | None, typer.Option(help="Lines a second; without it, as fast as they go.", min=0.1)
    ] = None,
) -> None:
    """Send a file of raw events to the topic raw-events.

    Every line is sent as it stands, also one that is no raw event: intake puts it into its
    dead-letter topic, with the reason.
    """
    bootstrap = Target.find(os.environ).kafka_bootstrap
    sent = send_file(bootstrap, file, rate)
    speed = f", {sent.lines / sent.seconds:.0f} a second" if sent.seconds > 0.5 else ""
    print(f"{sent.lines} sent in {sent.seconds:.1f} s{speed}")
    for line in told(sent):
        print(line)


def send_file(bootstrap: str, file: str, rate: float | None = None) -> Sent:
    """Send a file, or stdin for `-`, with a progress bar on a terminal. Raises CliError."""
    with ExitStack() as stack:
        source, total = _open(stack, file)
        bar = stack.enter_context(
            Progress(
                TextColumn("sending"),
                BarColumn(),
                TextColumn("{task.completed:.0f} lines"),
                TimeElapsedColumn(),
                console=Console(stderr=True),
                transient=True,
                disable=not sys.stderr.isatty(),
            )
        )
        task = bar.add_task("", total=total)
        return send_lines(
            bootstrap,
            read_lines(source),
            rate=rate,
            progress=lambda lines: bar.update(task, completed=lines),
        )


def told(sent: Sent) -> list[str]:
    """Which lines are no raw events, in words; nothing when all are."""
    if not sent.refused:
        return []
    numbers = ranges(number for number, _ in sent.refused)
    if len(sent.refused) == 1:
        lines = [f"1 of them is no raw event, line {numbers}:"]
    else:
        lines = [f"{len(sent.refused)} of them are no raw events, lines {numbers}:"]
    lines += [f"  line {number}: {reason}" for number, reason in sent.refused[:REASONS_SHOWN]]
    if len(sent.refused) > REASONS_SHOWN:
        lines.append(f"  and {len(sent.refused) - REASONS_SHOWN} more")
    return lines


def _open(stack: ExitStack, file: str) -> tuple[BinaryIO, int | None]:
    if file == "-":
        return sys.stdin.buffer, None
    path = Path(file)
    try:
        with path.open("rb") as counted:
            total = sum(1 for _ in counted)
        return stack.enter_context(path.open("rb")), total
    except OSError as error:
        raise CliError(f"{file} cannot be read: {error.strerror}") from error
