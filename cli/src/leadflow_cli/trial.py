"""Which sequence a dry run tries, and which others stand beside it.

What is tried is a file of the library's format or a name: of a sequence that the running
leadflow has, in its newest version whatever its status, else of the shipped library. Beside it
stand the running leadflow's sequences, or the shipped library where none runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from leadflow.codec import Codec
from leadflow.errors import CodecError
from leadflow.kafka.port import Message
from leadflow.records import SequencePublished
from leadflow.records.base import changed
from leadflow.tenants import Tenant
from leadflow_cli.errors import CliError
from portal_api import library
from sequencer.model import Pauses
from sequencer.sequences import PublishedSequences

# A definition's own time decides nothing; a fixed one keeps runs equal.
_WRITTEN = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Trial:
    """`tried` holds the sequence once for each tenant, `beside` every other that is there;
    `without` are tenants whose pipeline lacks the stage that triggers it."""

    tried: tuple[SequencePublished, ...]
    beside: tuple[SequencePublished, ...]
    without: tuple[str, ...] = ()

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(each.sequence_id for each in self.tried)

    def sequences(self) -> PublishedSequences:
        """All of them as the worker holds them."""
        codec = Codec()
        held = PublishedSequences(codec)
        for each in (*self.beside, *self.tried):
            held.apply(f"{each.sequence_id}:{each.version}".encode(), codec.encode(each))
        return held


def choose(
    wanted: str,
    published: Sequence[SequencePublished] | None,
    tenants: Mapping[str, Tenant],
    folder: Path,
    *,
    alone: bool = False,
) -> Trial:
    """`published` is what a running leadflow has, None where none runs; `tenants` are those of
    the leads; `folder` is the shipped library.

    Raises CliError if there is no such sequence.
    """
    there = [*published] if published is not None else shipped(folder, tenants)
    there = [each for each in there if each.tenant_id in tenants]
    without: list[str] = []
    if wanted.endswith((".yaml", ".yml")):
        found = of_file(Path(wanted), tenants, folder)
    else:
        newest = _newest(there)
        found = [
            each
            for name, each in newest.items()
            if name == wanted or name.partition(".")[2] == wanted
        ]
        if not found:
            names = sorted({name.partition(".")[2] or name for name in newest})
            where = "the running leadflow" if published is not None else "the shipped library"
            raise CliError(
                f"{where} has no sequence {wanted} for the tenants of these leads; "
                f"it has {', '.join(names) or 'none'}. A file ends in .yaml"
            )
    versions = {name: each.version for name, each in _newest(there).items()}
    tried = []
    for each in found:
        stage = each.trigger.value if each.trigger.kind == "stage" else None
        if stage is not None and stage not in tenants[each.tenant_id].pipeline:
            without.append(each.tenant_id)
            continue
        version = max(each.version, versions.get(each.sequence_id, 0))
        tried.append(changed(each, status="active", version=version))
    ids = {each.sequence_id for each in tried}
    beside = () if alone else tuple(each for each in there if each.sequence_id not in ids)
    return Trial(tuple(tried), beside, tuple(without))


def paused(chosen: Trial, pauses: Pauses) -> tuple[str, ...]:
    """Paused scopes that would hold what is tried, in order."""
    found = {
        pauses.holding(each.tenant_id, each.sequence_id, step.channel)
        for each in chosen.tried
        for step in each.steps
    }
    return tuple(sorted(scope for scope in found if scope is not None))


def of_file(path: Path, tenants: Mapping[str, Tenant], folder: Path) -> list[SequencePublished]:
    """A sequence in the library's format, as each tenant's own. Its templates are those beside
    it (`../templates`), else the shipped ones."""
    if not path.is_file():
        raise CliError(f"there is no file {path}")
    templates = _templates(folder)
    if (path.absolute().parent.parent / "sequences").is_dir():
        templates |= _templates(path.absolute().parent.parent)
    entry = library.read(path)
    return [library.sequence_of(entry, templates, each, _WRITTEN) for each in tenants.values()]


def shipped(folder: Path, tenants: Mapping[str, Tenant]) -> list[SequencePublished]:
    """The shipped library as it is published for each of these tenants."""
    entries, templates = library.load(folder)
    return [
        library.sequence_of(entry, templates, tenant, _WRITTEN)
        for tenant in tenants.values()
        for entry in entries
    ]


def of_topic(messages: Iterable[Message]) -> list[SequencePublished]:
    """What `sequence-definitions` holds, the last word on each version."""
    codec = Codec()
    held: dict[bytes, SequencePublished] = {}
    for message in messages:
        key = message.key or b""
        held.pop(key, None)
        if message.value is None:
            continue
        try:
            record = codec.decode(message.value)
        except CodecError:
            continue  # nobody enrolls in what nobody can read
        if isinstance(record, SequencePublished):
            held[key] = record
    return sorted(held.values(), key=lambda each: (each.sequence_id, each.version))


def _newest(sequences: Iterable[SequencePublished]) -> dict[str, SequencePublished]:
    found: dict[str, SequencePublished] = {}
    for each in sequences:
        best = found.get(each.sequence_id)
        if best is None or each.version > best.version:
            found[each.sequence_id] = each
    return found


def _templates(folder: Path) -> dict[str, dict[str, Any]]:
    return library.load(folder)[1]
