"""Secrets at rest."""

from __future__ import annotations

from base64 import b64encode

import pytest

from crm_sync.sealing import Sealer
from leadflow.errors import SettingError

KEY = b64encode(b"k" * 32).decode()


def test_what_is_sealed_opens_and_does_not_show() -> None:
    sealed = Sealer.read(KEY).seal("pat-na1-secret", "hubspot-1")
    assert b"secret" not in sealed
    assert Sealer.read(KEY).open(sealed, "hubspot-1") == "pat-na1-secret"


def test_the_same_secret_is_sealed_differently_each_time() -> None:
    sealer = Sealer.read(KEY)
    assert sealer.seal("s", "a") != sealer.seal("s", "a")


def test_it_opens_for_no_other_account_under_no_other_key_and_not_when_changed() -> None:
    sealer = Sealer.read(KEY)
    sealed = sealer.seal("pat-na1-secret", "hubspot-1")
    other = Sealer.read(b64encode(b"o" * 32).decode())
    changed = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for opener, what, account in (
        (sealer, sealed, "hubspot-2"),
        (other, sealed, "hubspot-1"),
        (sealer, changed, "hubspot-1"),
        (sealer, b"", "hubspot-1"),
    ):
        with pytest.raises(SettingError, match=account) as caught:
            opener.open(what, account)
        assert "pat-na1" not in str(caught.value)


@pytest.mark.parametrize("written", ["", "not base64!", b64encode(b"k" * 16).decode()])
def test_a_key_is_32_bytes_in_base64(written: str) -> None:
    with pytest.raises(SettingError, match="LEADFLOW_ACCOUNT_SECRET"):
        Sealer.read(written)
