"""Limits as people write them: each mistake is named with its place."""

from __future__ import annotations

import tomllib
from datetime import date
from pathlib import Path

import pytest

from dispatcher.limits import Limits, RampUp, Rate
from dispatcher.limits_file import load, read
from leadflow.errors import SettingError


def test_the_units_say_how_far_apart_tokens_come_and_how_many_are_saved() -> None:
    limits = read(
        tomllib.loads(
            """
            [provider.resend]
            per_second = 10
            [tenant."*"]
            per_minute = 600
            burst = 50
            [domain."GMail.com"]
            per_minute = 60
            [mailbox."acme@mail.example.com"]
            per_hour = 400
            ramp_up = { first_day = 2026-11-01, per_day = [50, 100] }
            [mailbox."new@mail.example.com"]
            ramp_up = { first_day = 2026-11-01, per_day = [50] }
            """
        )
    )
    assert limits.provider == {"resend": Rate(0.1, 10)}
    assert limits.tenant == {"*": Rate(0.1, 50)}
    assert limits.domain == {"gmail.com": Rate(1.0, 1)}
    assert limits.mailbox == {"acme@mail.example.com": Rate(9.0, 1)}
    assert limits.ramp_up == {
        "acme@mail.example.com": RampUp(date(2026, 11, 1), (50, 100)),
        "new@mail.example.com": RampUp(date(2026, 11, 1), (50,)),
    }


def test_no_file_is_no_limit() -> None:
    assert load(None) == Limits()
    assert not load(None)


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("[sender.x]\nper_second = 1", "sender: there are limits by provider"),
        ("[provider]\nper_second = 1", "provider: write"),
        ("[provider.x]", "provider.x: one of per_second"),
        ("[provider.x]\nper_second = 1\nper_day = 2", "provider.x: one of"),
        ("[provider.x]\nper_second = 0", "per_second is above 0"),
        ("[provider.x]\nper_second = inf", "per_second is above 0"),
        ("[provider.x]\nper_second = true", "per_second is a number"),
        ('[provider.x]\nper_second = "1"', "per_second is a number"),
        ("[provider.x]\nper_second = 1\nburst = 0", "burst is 1 to"),
        ("[provider.x]\nper_second = 1\nspeed = 2", "provider.x: one of"),
        ("[provider.resnd]\nper_second = 1", "provider.resnd: a provider is one of email-api"),
        ('[domain." gmail.com"]\nper_second = 1', "domain. gmail.com: a domain is like"),
        ("[domain.gmail]\nper_second = 1", "domain.gmail: a domain is like"),
        ('[tenant."a b"]\nper_second = 1', "tenant.a b: a tenant's id has no blanks"),
        ("[mailbox.notanaddress]\nper_second = 1", "mailbox.notanaddress: a mailbox is like"),
        ("[provider.smtp]\nper_day = 1e-300", "per_day is slower than one in 30 days"),
        ("[tenant.x]\nramp_up = 1", "a mailbox of its own"),
        ('[mailbox."*"]\nramp_up = 1', "a mailbox of its own"),
        ("[mailbox.x]\nramp_up = 1", "ramp_up has first_day and per_day"),
        ('[mailbox.x]\nramp_up = { first_day = "x", per_day = [1] }', "first_day is a day"),
        ("[mailbox.x]\nramp_up = { first_day = 2026-11-01, per_day = [] }", "per_day is a list"),
        ("[mailbox.x]\nramp_up = { first_day = 2026-11-01, per_day = [0] }", "per_day is a list"),
    ],
)
def test_a_mistake_is_named_with_its_place(written: str, said: str) -> None:
    with pytest.raises(SettingError, match="LEADFLOW_LIMITS_FILE") as refused:
        read(tomllib.loads(written))
    assert said in str(refused.value)


def test_a_file_that_is_not_there_or_is_not_toml_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match="cannot read"):
        load(tmp_path / "none.toml")
    (tmp_path / "x.toml").write_text("[[[")
    with pytest.raises(SettingError, match="is not TOML"):
        load(tmp_path / "x.toml")
    (tmp_path / "x.toml").write_bytes("# Größe".encode("latin-1"))
    with pytest.raises(SettingError, match="is not UTF-8"):
        load(tmp_path / "x.toml")


def test_the_shipped_example_can_be_read() -> None:
    example = Path(__file__).parents[3] / "deploy" / "limits.example.toml"
    assert load(example).by_mailbox
