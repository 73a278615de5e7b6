"""Keys, cookies and what a role sees."""

from __future__ import annotations

import pytest

from portal_api.auth import (
    Principal,
    Role,
    bearer,
    new_key,
    secret_hash,
    sign,
    signed,
    text_hash,
)


def test_a_key_is_marked_as_ours_and_never_the_same_twice() -> None:
    keys = {new_key() for _ in range(100)}
    assert len(keys) == 100
    assert all(key.startswith("lf_") and len(key) == 46 for key in keys)


def test_what_is_kept_of_a_key_does_not_hold_it() -> None:
    assert "lf_abc" not in secret_hash("lf_abc")
    assert len(secret_hash("lf_abc")) == 64


def test_the_hash_of_a_text_is_sha_256_of_its_utf_8_bytes() -> None:
    # FIPS 180-2, appendix B.1
    assert text_hash("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_cookie_that_we_signed_names_its_session() -> None:
    assert signed("secret", sign("secret", "session-1")) == "session-1"


@pytest.mark.parametrize(
    "cookie",
    [None, "", "session-1", "session-1.", ".abc", "session-2." + sign("secret", "session-1")[10:]],
)
def test_a_cookie_that_we_did_not_sign_names_nothing(cookie: str | None) -> None:
    assert signed("secret", cookie) is None


def test_a_cookie_of_another_secret_names_nothing() -> None:
    assert signed("secret", sign("another", "session-1")) is None


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer lf_1", "lf_1"),
        ("bearer  lf_1 ", "lf_1"),
        ("Basic lf_1", None),
        ("Bearer", None),
        (None, None),
    ],
)
def test_the_key_is_read_from_the_authorization_header(header: str | None, key: str | None) -> None:
    assert bearer(header) == key


def test_a_key_without_tenant_may_choose_one_or_see_all() -> None:
    ops = Principal("1", Role.OPS, None, "ops")
    assert ops.tenant("acme") == "acme"
    assert ops.tenant(None) is None


def test_a_key_of_one_tenant_never_shows_another() -> None:
    ops = Principal("1", Role.OPS, "acme", "ops")
    assert ops.tenant(None) == "acme"
    assert not ops.sees("north")
    with pytest.raises(PermissionError):
        ops.tenant("north")


def test_a_rep_sees_the_leads_that_are_theirs() -> None:
    rep = Principal("1", Role.REP, "acme", "dana")
    assert rep.sees("acme", "dana")
    assert not rep.sees("acme", "luis")
    assert not rep.sees("acme", None)
