"""`leadflow dlq`: what could not be processed, why, and what is done about it."""

from __future__ import annotations

import getpass
import os
import secrets
import sys
import threading
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.table import Table
from typer.core import TyperGroup

from leadflow import topics
from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.kafka.replay import place_of
from leadflow.kafka.reviews import (
    DEFAULT_PER_MINUTE,
    DISCARDED,
    OPEN,
    REPLAYED,
    Filter,
    Run,
    standing,
)
from leadflow.records import DeadLetterReviewed
from leadflow.redacted import redacted
from leadflow_cli.dlq import Dead, age, dead_letters, fitting, grouped, plan
from leadflow_cli.errors import CliError
from leadflow_cli.reading import reader
from leadflow_cli.reviewing import Reviewer
from leadflow_cli.targets import Target
from leadflow_cli.terminal import console

SUFFIX = "-dlq"
SERVICES = sorted(
    topic.name.removesuffix(SUFFIX) for topic in topics.ALL if topic.name.endswith(SUFFIX)
)


class _ServiceOrCommand(TyperGroup):
    """`leadflow dlq intake` is short for `leadflow dlq --service intake`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and not args[0].startswith("-"):
            args = ["--service", *args]
        return super().parse_args(ctx, args)


dlq = typer.Typer(cls=_ServiceOrCommand, invoke_without_command=True)

Service = Annotated[str | None, typer.Option(help="Of one service only, such as crm-sync.")]
Reason = Annotated[
    str | None, typer.Option(help="A cause as listed, its rule, or the class of its error.")
]
Tenant = Annotated[str | None, typer.Option(help="Of one tenant only.")]
Moment = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"])
]
Ids = Annotated[list[str] | None, typer.Argument(help="Letters by name, such as intake-dlq:3:17.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and do nothing.")]


@dlq.callback()
def groups(
    ctx: typer.Context, service: Service = None, reason: Reason = None, tenant: Tenant = None
) -> None:
    """Dead letters by service and cause, with their counts and ages.

    What was replayed or discarded is counted beside what is open. Times are UTC.
    """
    if ctx.invoked_subcommand is not None:
        return
    letters = fitting(_read(service), Filter(service=service, reason=reason, tenant=tenant))
    out = console()
    if not letters:
        out.print("no dead letters")
        return
    now = datetime.now(UTC)
    table = Table(box=None, pad_edge=False)
    for column in ("service", "open", "replayed", "discarded", "oldest", "latest", "cause"):
        numeric = column not in ("service", "cause")
        table.add_column(column, justify="right" if numeric else "left")
    for group in grouped(letters):
        table.add_row(
            group.service,
            *(str(group.states[state]) for state in (OPEN, REPLAYED, DISCARDED)),
            age(group.letters[0].letter.at, now),
            age(group.letters[-1].letter.at, now),
            group.cause,
        )
    out.print(table)
    number = sum(each.state == OPEN for each in letters)
    out.print(
        f"\n{len(letters)} dead letters, {number} of them open; "
        "'leadflow dlq list' names them, 'leadflow dlq show NAME' shows one"
    )


@dlq.command("list")
def list_letters(
    service: Service = None,
    reason: Reason = None,
    tenant: Tenant = None,
    since: Moment = None,
    until: Moment = None,
) -> None:
    """Every letter that fits by its name, the oldest first."""
    out, now = console(), datetime.now(UTC)
    table = Table(box=None, pad_edge=False)
    for column in ("letter", "state", "age", "record", "tenant", "reason"):
        table.add_column(column)
    for each in fitting(_read(service), _filter(service, reason, tenant, since, until, None)):
        letter = each.letter
        told = f"came back: {letter.reason}" if letter.replay_of else letter.reason
        table.add_row(
            each.letter_id, each.state, age(letter.at, now), each.was, each.tenant_id, told
        )
    out.print(table)


@dlq.command()
def show(
    letter: Annotated[str, typer.Argument(help="Its name, such as intake-dlq:3:17.")],
    raw: Annotated[
        bool, typer.Option("--raw", help="Its bytes as they came, persons and all.")
    ] = False,
) -> None:
    """One letter, without what can identify a person unless --raw."""
    found = [each for each in _read(_place(letter)[0]) if each.letter_id == letter]
    if not found:
        raise CliError(f"there is no dead letter {letter}")
    if raw:
        print(
            "leadflow: these bytes may hold personal data: keep them to yourself", file=sys.stderr
        )
        sys.stdout.buffer.write(found[0].letter.message.value or b"")
        sys.stdout.buffer.flush()
        return
    _show(found[0])


@dlq.command()
def replay(
    letters: Ids = None,
    service: Service = None,
    reason: Reason = None,
    tenant: Tenant = None,
    since: Moment = None,
    until: Moment = None,
    rate: Annotated[int, typer.Option(min=1, help="How many a minute.")] = DEFAULT_PER_MINUTE,
    again: Annotated[
        bool, typer.Option("--again", help="Those too that were replayed or discarded before.")
    ] = False,
    why: Annotated[str | None, typer.Option(help="Why, for the record.")] = None,
    dry_run: DryRun = False,
) -> None:
    """Put letters back where they came from, as they came, for the service that buried them."""
    chosen = _filter(service, reason, tenant, since, until, letters)
    _act(REPLAYED, chosen, why, dry_run=dry_run, again=again, rate=rate)


@dlq.command()
def discard(
    why: Annotated[str, typer.Option(help="Why, for the record.")],
    letters: Ids = None,
    service: Service = None,
    reason: Reason = None,
    tenant: Tenant = None,
    since: Moment = None,
    until: Moment = None,
    dry_run: DryRun = False,
) -> None:
    """Let letters go: they stay in the log, and count as open no more."""
    _act(DISCARDED, _filter(service, reason, tenant, since, until, letters), why, dry_run=dry_run)


def _act(
    action: str,
    chosen: Filter,
    why: str | None,
    *,
    dry_run: bool,
    again: bool = False,
    rate: int = DEFAULT_PER_MINUTE,
) -> None:
    if chosen == Filter():
        raise CliError("say which letters: by name, or by --service, --reason, --tenant or time")
    planned = plan(fitting(_read(chosen.service), chosen), action, again=again)
    out = console()
    for told, count in sorted(planned.passed.items()):
        out.print(f"{count} passed over: {told}")
    if dry_run or not planned.taken:
        for group in grouped(planned.taken):
            out.print(f"{len(group.letters):>6} {group.service}  {group.cause}", soft_wrap=True)
        out.print(f"{len(planned.taken)} would be {action}")
        return
    run = Run(
        run_id=f"cli-{secrets.token_hex(8)}",
        action=action,
        chosen=chosen.in_words(),
        by=getpass.getuser(),
        reason=why,
        source="cli",
    )
    stopped = threading.Event()
    reviewer = Reviewer(Target.find(os.environ).kafka_bootstrap, Codec(), stopped.wait)
    done = 0

    def told_of(number: int) -> None:
        nonlocal done
        done = number

    try:
        reviewer.carry_out(run, planned.taken, rate, told_of)
    finally:
        out.print(f"{done} {action}")


def _read(service: str | None) -> list[Dead]:
    """Every letter of one service or of all, as it stands. Raises CliError."""
    if service is not None and service not in SERVICES:
        raise CliError(f"there is no service {service}: there are {', '.join(SERVICES)}")
    codec = Codec()
    with reader(Target.find(os.environ).kafka_bootstrap) as log:
        names = [f"{name}{SUFFIX}" for name in SERVICES if service in (None, name)]
        letters = list(log.to_end([place for name in names for place in log.partitions(name)]))
        reviews = []
        for message in log.to_end(log.partitions(topics.DEAD_LETTER_REVIEWS.name)):
            try:
                record = codec.decode(message.value)
            except CodecError:
                continue  # not ours: it says nothing of a letter
            if isinstance(record, DeadLetterReviewed):
                reviews.append(record)
    return dead_letters(codec, letters, standing(reviews))


def _filter(
    service: str | None,
    reason: str | None,
    tenant: str | None,
    since: datetime | None,
    until: datetime | None,
    letters: list[str] | None,
) -> Filter:
    for each in letters or ():
        _place(each)
    return Filter(
        service=service,
        reason=reason,
        tenant=tenant,
        since=since and since.replace(tzinfo=UTC),
        until=until and until.replace(tzinfo=UTC),
        letter_ids=tuple(letters or ()),
    )


def _place(letter: str) -> tuple[str, int, int]:
    try:
        topic, partition, offset = place_of(letter)
    except ValueError as error:
        raise CliError(str(error)) from None
    return topic.removesuffix(SUFFIX), partition, offset


def _show(dead: Dead) -> None:
    out, letter = console(), dead.letter
    origin = f"{letter.origin_topic}[{letter.origin_partition}]@{letter.origin_offset}"
    for name, value in (
        ("letter", dead.letter_id),
        ("state", dead.state),
        ("from", origin),
        ("at", letter.at.isoformat()),
        ("event", dead.event_id),
        ("cause", letter.cause),
        ("reason", letter.reason),
        ("replay", letter.replay_of and f"of {letter.replay_of}"),
    ):
        if value:
            out.print(f"{name:<8} {value}", soft_wrap=True)
    for name, header in letter.message.headers:
        if not name.startswith(("dlq-", "replay-")):
            out.print(f"header   {name}: {len(header)} bytes", soft_wrap=True)
    out.print(redacted(Codec(), letter.message.value), soft_wrap=True)
