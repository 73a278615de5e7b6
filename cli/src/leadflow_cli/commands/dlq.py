"""`leadflow dlq`: what could not be processed, and why."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer
from rich.table import Table

from leadflow.codec import Codec
from leadflow.topics import ALL
from leadflow_cli.dlq import Dead, grouped, numbered, redacted
from leadflow_cli.errors import CliError
from leadflow_cli.lines import ranges
from leadflow_cli.reading import reader
from leadflow_cli.targets import Target
from leadflow_cli.terminal import console

SUFFIX = "-dlq"


def dlq(
    service: Annotated[
        str | None, typer.Argument(help="Of one service only, such as intake.")
    ] = None,
    show: Annotated[int | None, typer.Option(help="Show the letter of that number.")] = None,
    raw: Annotated[
        bool, typer.Option("--raw", help="With --show: its bytes as they came, and nothing else.")
    ] = False,
) -> None:
    """List dead letters by reason, or show one with its headers.

    What is shown of a letter's value is without what can identify a person, unless --raw.
    """
    names = {topic.name.removesuffix(SUFFIX) for topic in ALL if topic.name.endswith(SUFFIX)}
    if service is not None and service not in names:
        raise CliError(f"there is no service {service}: there are {', '.join(sorted(names))}")
    if raw and show is None:
        raise CliError("--raw goes with --show N")
    letters = read_letters(
        Target.find(os.environ).kafka_bootstrap,
        [f"{name}{SUFFIX}" for name in sorted(names) if service in (None, name)],
    )
    if show is None:
        _list(letters)
    elif not 0 < show <= len(letters):
        raise CliError(f"there is no dead letter {show}: there are {len(letters)}")
    elif raw:
        sys.stdout.buffer.write(letters[show - 1].message.value or b"")
        sys.stdout.buffer.flush()
    else:
        _show(letters[show - 1])


def read_letters(bootstrap: str, topics: list[str]) -> list[Dead]:
    """Every letter of these topics, numbered. Raises CliError."""
    with reader(bootstrap) as log:
        places = [place for topic in topics for place in log.partitions(topic)]
        return numbered(log.to_end(places))


def _list(letters: list[Dead]) -> None:
    out = console()
    if not letters:
        out.print("no dead letters")
        return
    table = Table(box=None, pad_edge=False)
    for column in ("service", "letters", "reason", "last", "numbers"):
        table.add_column(column, justify="right" if column == "letters" else "left")
    for group in grouped(letters):
        table.add_row(
            group.service,
            str(len(group.letters)),
            group.reason,
            group.letters[-1].at[:19],
            ranges(letter.number for letter in group.letters),
        )
    out.print(table)
    out.print(f"\n{len(letters)} dead letters; 'leadflow dlq --show NUMBER' shows one")


def _show(letter: Dead) -> None:
    out = console()
    message = letter.message
    for name, value in (
        ("number", letter.number),
        ("topic", f"{message.topic}[{message.partition}]@{message.offset}"),
        ("from", letter.origin),
        ("at", letter.at),
        ("error", letter.error),
        ("reason", letter.reason),
    ):
        out.print(f"{name:<8} {value}", soft_wrap=True)
    for name, header in message.headers:
        if not name.startswith("dlq-"):
            out.print(f"header   {name}: {len(header)} bytes", soft_wrap=True)
    out.print(redacted(Codec(), message.value), soft_wrap=True)
