"""The walk over chains: a whole one agrees, and each way of breaking one is named."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from leadflow_cli.verify.chain import ChainWalk, Head, Link
from leadflow_cli.verify.kinds import Disagreement


def chain(length: int, tenant_id: str = "acme") -> list[Link]:
    """So many rows that follow from each other."""
    links: list[Link] = []
    for seq in range(1, length + 1):
        link = Link(
            tenant_id=tenant_id,
            seq=seq,
            message_id=f"m-{seq}",
            state="sent",
            rule=None,
            body_sha256="b0",
            provider="email-api",
            provider_id=f"Grüße {seq}",
            response_sha256=None,
            at_us=1_795_000_000_000_000 + seq,
            previous=links[-1].hash if links else b"",
            hash=b"",
        )
        links.append(replace(link, hash=link.computed()))
    return links


def heads(*links: Link) -> dict[str, Head]:
    return {link.tenant_id: Head(link.seq, link.hash) for link in links}


def found(
    links: list[Link], ends: dict[str, Head], kept: dict[str, Head] | None = None
) -> list[Disagreement]:
    walk = ChainWalk(ends, kept)
    return [each for link in links for each in walk.step(link)] + list(walk.end())


def kinds(disagreements: list[Disagreement]) -> list[str]:
    return [str(each.kind) for each in disagreements]


def test_the_hash_is_the_one_that_is_written_down() -> None:
    """docs/adr/0019: SHA-256 over the previous hash and a JSON array with blanks after commas."""
    [first] = chain(1)
    said = '["acme", 1, "m-1", "sent", null, "b0", "email-api", "Grüße 1", null, 1795000000000001]'
    assert json.loads(said)[7] == "Grüße 1"
    assert first.hash == hashlib.sha256(said.encode()).digest()


def test_whole_chains_agree_whatever_their_length() -> None:
    one, other = chain(3), chain(1, "beta")
    assert found([*one, *other], heads(one[-1], other[-1])) == []
    assert found([], {}) == []
    assert found([], {"acme": Head(0, b"")}) == [], "a head before its first row"


def test_a_changed_row_is_named() -> None:
    links = chain(3)
    links[1] = replace(links[1], state="failed")
    [only] = found(links, heads(links[-1]))
    assert (only.kind, only.message_id) == ("chain_row_changed", "m-2")


def test_a_changed_row_with_a_hash_to_match_breaks_the_next() -> None:
    links = chain(3)
    changed = replace(links[1], state="failed")
    links[1] = replace(changed, hash=changed.computed())
    [only] = found(links, heads(links[-1]))
    assert (only.kind, only.message_id) == ("chain_broken", "m-3")


@pytest.mark.parametrize("missing", [0, 1])
def test_a_removed_row_is_named_by_the_one_behind_it(missing: int) -> None:
    links = chain(3)
    del links[missing]
    [only] = found(links, heads(links[-1]))
    assert (only.kind, only.message_id) == ("chain_row_removed", f"m-{missing + 2}")
    assert f"rows {missing + 1} to {missing + 1} are gone" in only.detail


def test_the_last_row_is_missed_by_the_head() -> None:
    links = chain(3)
    [only] = found(links[:-1], heads(links[-1]))
    assert (only.kind, only.tenant_id) == ("chain_cut", "acme")
    assert kinds(found([], heads(links[-1]))) == ["chain_cut"]


def test_a_head_that_is_gone_or_another_is_named() -> None:
    links = chain(3)
    assert kinds(found(links, {})) == ["chain_head_changed"]
    assert kinds(found(links, {"acme": Head(2, links[1].hash)})) == ["chain_head_changed"]
    assert kinds(found(links, {"acme": Head(3, b"x")})) == ["chain_head_changed"]


def test_a_chain_that_was_rewritten_whole_is_named_by_what_was_kept() -> None:
    links, kept = chain(3), heads(chain(3)[1])
    assert found(links, heads(links[-1]), kept) == []
    rewritten = [replace(link, rule="other", hash=b"") for link in links]
    previous = b""
    for number, link in enumerate(rewritten):
        link = replace(link, previous=previous)
        rewritten[number] = replace(link, hash=link.computed())
        previous = rewritten[number].hash
    assert found(rewritten, heads(rewritten[-1])) == []
    assert kinds(found(rewritten, heads(rewritten[-1]), kept)) == ["chain_rewritten"]
    assert kinds(found(links[:1], heads(links[0]), kept)) == ["chain_rewritten"]


def of_format_2(link: Link, previous: bytes) -> Link:
    now = replace(
        link, format=2, lead_id="lead-1", channel="email", to_sha256="t0", previous=previous
    )
    return replace(now, hash=now.computed())


def test_a_row_of_format_2_says_whose_the_message_was() -> None:
    """docs/adr/0019: the format comes first, whose it was last."""
    [first] = chain(1)
    link = of_format_2(first, b"")
    said = (
        '[2, "acme", 1, "m-1", "sent", null, "b0", "email-api", "Grüße 1", null, 1795000000000001,'
        ' "lead-1", "email", "t0"]'
    )
    assert link.hash == hashlib.sha256(said.encode()).digest()


def test_a_chain_may_go_on_in_a_newer_format_and_never_back() -> None:
    links = chain(3)
    links[1] = of_format_2(links[1], links[0].hash)
    links[2] = of_format_2(links[2], links[1].hash)
    assert found(links, heads(links[-1])) == []
    back = replace(links[2], format=1)
    links[2] = replace(back, hash=back.computed())
    assert kinds(found(links, heads(links[-1]))) == ["chain_row_changed"]


@pytest.mark.parametrize("column", ["lead_id", "channel", "to_sha256"])
def test_a_row_that_says_another_ones_message_is_named(column: str) -> None:
    [first] = chain(1)
    link = replace(of_format_2(first, b""), **{column: "other"})
    assert kinds(found([link], heads(link))) == ["chain_row_changed"]
