"""Tokens are opaque, scoped and unguessable."""

from __future__ import annotations

import re
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from leadflow.tokens import BadToken, Sealer

SEALER = Sealer("a secret")
FIELDS = st.lists(st.text(st.characters(exclude_characters="\x1f", codec="utf-8")), min_size=1)


@given(FIELDS)
def test_what_was_sealed_opens_again(fields: list[str]) -> None:
    assert SEALER.open("unsubscribe", SEALER.seal("unsubscribe", *fields)) == tuple(fields)
    assert SEALER.open_hex("reply", SEALER.seal_hex("reply", *fields)) == tuple(fields)


def test_the_same_fields_give_the_same_token() -> None:
    assert SEALER.seal("click", "m-1", "https://a.example") == Sealer("a secret").seal(
        "click", "m-1", "https://a.example"
    )


def test_a_token_of_one_purpose_opens_as_no_other() -> None:
    with pytest.raises(BadToken):
        SEALER.open("unsubscribe", SEALER.seal("click", "m-1"))


def test_nothing_of_what_it_stands_for_can_be_read_in_it() -> None:
    token = SEALER.seal_hex("reply", "ann@example.com")
    assert b"ann" not in bytes.fromhex(token)


@given(st.integers(min_value=0), st.integers(1, 255))
def test_a_changed_token_does_not_open(place: int, change: int) -> None:
    sealed = bytearray.fromhex(SEALER.seal_hex("click", "acme", "m-1", "https://a.example/x"))
    sealed[place % len(sealed)] ^= change
    with pytest.raises(BadToken):
        SEALER.open_hex("click", sealed.hex())


@pytest.mark.parametrize("token", ["", "x", "é", "A" * 9_000, "a b", "AAAA", "\x00" * 40])
def test_rubbish_is_no_token(token: str) -> None:
    with pytest.raises(BadToken):
        SEALER.open("click", token)
    with pytest.raises(BadToken):
        SEALER.open_hex("click", token)


def test_an_older_secret_still_opens_and_the_newer_one_seals() -> None:
    both = Sealer("new, old")
    assert both.open("click", Sealer("old").seal("click", "m-1")) == ("m-1",)
    assert both.seal("click", "m-1") == Sealer("new").seal("click", "m-1")
    with pytest.raises(BadToken):
        Sealer("new").open("click", Sealer("old").seal("click", "m-1"))


def test_no_secret_is_an_error() -> None:
    with pytest.raises(ValueError, match="secret"):
        Sealer(" , ")


def test_a_field_with_the_separator_is_an_error() -> None:
    with pytest.raises(ValueError, match="001F"):
        SEALER.seal("click", "a\x1fb")


MESSAGE = "15536a5b-7d7e-52e3-b8fb-d332e1b3acc7"


@given(st.uuids(), st.text(st.characters(codec="utf-8")))
def test_a_packed_token_gives_its_id_back_in_any_case(identity: UUID, tenant: str) -> None:
    token = SEALER.seal_id("reply", tenant, str(identity))
    assert SEALER.open_id("reply", tenant, token) == str(identity)
    assert SEALER.open_id("reply", tenant, token.upper()) == str(identity)


def test_a_packed_token_fits_into_the_local_part_of_an_address() -> None:
    token = SEALER.seal_id("reply", "acme", MESSAGE)
    assert len(f"reply+{token}") <= 64
    assert re.fullmatch("[a-z2-7]+", token)


def test_a_packed_token_opens_for_its_own_tenant_and_purpose_alone() -> None:
    token = SEALER.seal_id("reply", "acme", MESSAGE)
    for purpose, tenant in (("reply", "other"), ("click", "acme")):
        with pytest.raises(BadToken):
            SEALER.open_id(purpose, tenant, token)


# The last character holds one bit of the seal and four of nothing.
@given(st.integers(0, 50), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_changed_packed_token_does_not_open(place: int, char: str) -> None:
    token = SEALER.seal_id("reply", "acme", MESSAGE)
    changed = f"{token[:place]}{char}{token[place + 1 :]}"
    if changed != token:
        with pytest.raises(BadToken):
            SEALER.open_id("reply", "acme", changed)


@pytest.mark.parametrize("token", ["", "x", "é" * 52, "1" * 52, "a" * 51, "a" * 52, "=" * 52])
def test_rubbish_is_no_packed_token(token: str) -> None:
    with pytest.raises(BadToken):
        SEALER.open_id("reply", "acme", token)


@pytest.mark.parametrize("identity", ["m-1", "", MESSAGE.upper(), MESSAGE.replace("-", "")])
def test_only_a_plain_uuid_is_packed(identity: str) -> None:
    with pytest.raises(ValueError, match=r"UUID|uuid"):
        SEALER.seal_id("reply", "acme", identity)


def test_a_packed_token_of_an_older_secret_still_opens() -> None:
    token = Sealer("old").seal_id("reply", "acme", MESSAGE)
    assert Sealer("new, old").open_id("reply", "acme", token) == MESSAGE
