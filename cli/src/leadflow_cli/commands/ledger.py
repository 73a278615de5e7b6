"""`leadflow ledger verify`: one send for each key, or every disagreement."""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from leadflow_cli.errors import CliError
from leadflow_cli.targets import Target
from leadflow_cli.verify.chain import Head
from leadflow_cli.verify.kinds import Disagreement
from leadflow_cli.verify.notes import Notes, new_notes
from leadflow_cli.verify.run import Accounts
from leadflow_cli.verify.run import verify as verify_all

TELL_EVERY_SECONDS = 3.0
GROUP = "dispatcher"

ledger = typer.Typer(help="What was sent, and that it was sent once.", no_args_is_help=True)


@ledger.callback()
def about() -> None:
    """What was sent, and that it was sent once."""


@ledger.command()
def verify(
    tenant: Annotated[str | None, typer.Option(help="Messages of this tenant only.")] = None,
    as_json: Annotated[
        bool,
        typer.Option("--json", help="One JSON object a disagreement and line, then the summary."),
    ] = False,
    keep: Annotated[
        Path | None, typer.Option(help="Write the heads of the chains to this file.")
    ] = None,
    against: Annotated[
        Path | None, typer.Option(help="Hold the chains to heads that --keep wrote earlier.")
    ] = None,
) -> None:
    """Hold the messages, what became of them, the ledger and what the provider accepted together.

    Prints every disagreement; exit code 1 if there is any. What is under way is none. The
    database is LEADFLOW_DATABASE_URL's where no leadflow runs here, and the dispatcher's consumer
    group LEADFLOW_GROUP's where that is set.
    """
    target = Target.find(os.environ)
    accounts = Accounts(
        kafka_bootstrap=target.kafka_bootstrap,
        database_url=target.database_url,
        sandbox_url=target.sandbox_url,
        group=os.environ.get("LEADFLOW_GROUP") or GROUP,
    )
    kept = None if against is None else read_heads(against)
    printer = Printer(as_json=as_json)
    with new_notes() as notes:
        heads = verify_all(
            accounts,
            notes,
            tenant_id=tenant,
            kept=kept,
            found=printer.found,
            tell=printer.tell,
        )
        printer.summary(counted(notes), heads)
    if keep is not None:
        write_heads(keep, heads)
    if printer.kinds:
        raise typer.Exit(1)


class Printer:
    """Disagreements to standard output as they are found, progress to standard error."""

    def __init__(self, *, as_json: bool) -> None:
        self._json = as_json
        self._told = time.monotonic()
        self.kinds: Counter[str] = Counter()

    def found(self, disagreement: Disagreement) -> None:
        self.kinds[disagreement.kind] += 1
        if self._json:
            print(
                json.dumps(
                    {
                        "kind": disagreement.kind,
                        "tenant_id": disagreement.tenant_id,
                        "message_id": disagreement.message_id,
                        "detail": disagreement.detail,
                    }
                )
            )
        else:
            print(disagreement)

    def tell(self, what: str, count: int) -> None:
        if time.monotonic() - self._told >= TELL_EVERY_SECONDS:
            self._told = time.monotonic()
            print(f"{count:,} {what}", file=sys.stderr, flush=True)

    def summary(self, counts: dict[str, int], heads: dict[str, Head]) -> None:
        if self._json:
            summary = {
                "agree": not self.kinds,
                "disagreements": dict(self.kinds),
                "counts": counts,
                "heads": heads_as_json(heads),
            }
            print(json.dumps(summary))
            return
        said = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        print(said or "no messages")
        if not self.kinds:
            print("all agree")
            return
        by_kind = ", ".join(f"{count:,} {kind}" for kind, count in self.kinds.most_common())
        print(f"{self.kinds.total():,} disagreements: {by_kind}")


def counted(notes: Notes) -> dict[str, int]:
    """How many messages were queued, are in each state, are chained and were accepted."""
    states = dict(notes.ask("SELECT state, count(*) FROM ledger GROUP BY state ORDER BY state"))
    return {
        "queued in the log": notes.count("SELECT count(*) FROM queued"),
        **{str(state): int(count) for state, count in states.items()},
        "chained": notes.count("SELECT count(*) FROM chained"),
        "accepted by the provider": notes.count("SELECT count(*) FROM accepted"),
    }


def heads_as_json(heads: dict[str, Head]) -> dict[str, dict[str, object]]:
    return {
        tenant_id: {"seq": head.seq, "hash": head.hash.hex()}
        for tenant_id, head in sorted(heads.items())
    }


def write_heads(path: Path, heads: dict[str, Head]) -> None:
    """Raises CliError."""
    try:
        path.write_text(json.dumps(heads_as_json(heads), indent=1) + "\n")
    except OSError as error:
        raise CliError(f"{path} cannot be written: {error.strerror}") from error


def read_heads(path: Path) -> dict[str, Head]:
    """Raises CliError."""
    try:
        return {
            tenant_id: Head(int(head["seq"]), bytes.fromhex(head["hash"]))
            for tenant_id, head in json.loads(path.read_text()).items()
        }
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise CliError(f"{path} is no file of heads, as --keep writes them") from error
