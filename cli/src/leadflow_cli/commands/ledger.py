"""`leadflow ledger verify`: one send for each key, or every disagreement."""

from __future__ import annotations

import os

import typer

from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.topics import MESSAGE_EVENTS, MESSAGES
from leadflow_cli.ledger import Ledger
from leadflow_cli.reading import reader
from leadflow_cli.sandbox_client import SandboxClient
from leadflow_cli.targets import Target

ledger = typer.Typer(help="What was sent, and that it was sent once.", no_args_is_help=True)


@ledger.callback()
def about() -> None:
    """What was sent, and that it was sent once."""


@ledger.command()
def verify() -> None:
    """Hold the messages, what became of them, and what the provider accepted together.

    Prints every disagreement; exit code 1 if there is any.
    """
    target = Target.find(os.environ)
    bootstrap = target.kafka_bootstrap
    with SandboxClient(target.sandbox_url) as sandbox:
        before = sandbox.accepted()
        told = read_ledger(bootstrap)
        found = told.disagreements(before, sandbox.accepted())
    for sentence in found:
        print(sentence)
    counts = ", ".join(f"{count} {what}" for what, count in told.counts().items() if count)
    print(f"{counts or 'no messages'}; {len(before)} accepted by the provider")
    if found:
        print(f"{len(found)} disagreements")
        raise typer.Exit(1)
    print("all agree")


def read_ledger(bootstrap: str) -> Ledger:
    """The ledger as the topics tell it now. Raises CliError."""
    told = Ledger()
    codec = Codec()
    with reader(bootstrap) as log:
        places = [
            place for topic in (MESSAGES, MESSAGE_EVENTS) for place in log.partitions(topic.name)
        ]
        for message in log.to_end(places):
            try:
                told.apply(codec.decode(message.value))
            except CodecError:
                continue  # the dispatcher's dead-letter topic has it
    return told
