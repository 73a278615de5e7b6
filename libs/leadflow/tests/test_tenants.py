"""What a tenant decided is read once, and a slip in it is named with its tenant."""

from __future__ import annotations

from pathlib import Path

import pytest

from leadflow.errors import SettingError
from leadflow.tenants import DEFAULT_PIPELINE, load

DEMO = Path(__file__).resolve().parents[3] / "demo/tenants.toml"


def test_without_a_file_there_are_no_tenants() -> None:
    assert load(None) == {}


def test_what_a_tenant_does_not_say_has_a_default(tmp_path: Path) -> None:
    path = tmp_path / "tenants.toml"
    path.write_text('[tenants.acme]\nowners = ["a", "b"]\ntimezone = "America/Chicago"\n')
    tenant = load(path)["acme"]
    assert tenant.tenant_id == "acme"
    assert tenant.owners == ("a", "b")
    assert tenant.timezone == "America/Chicago"
    assert tenant.pipeline == DEFAULT_PIPELINE
    assert tenant.duplicate_policy == "update"


def test_the_default_pipeline_is_the_products() -> None:
    stages = "new contacted qualified proposal-sent won lost dormant"
    assert " ".join(DEFAULT_PIPELINE) == stages


def test_the_demos_tenants_can_be_read() -> None:
    assert set(load(DEMO)) == {"acme-roofing", "north-dental"}
    assert load(DEMO)["north-dental"].currency == "GBP"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[tenants.acme]\ncolour = 1\n", "tenant acme: there is no setting colour"),
        ('[tenants.acme]\ntenant_id = "b"\n', "tenant acme: there is no setting tenant_id"),
        ('[tenants.acme]\ntimezone = "Mars/Base"\n', "tenant acme: 'Mars/Base' is no IANA"),
        ('[tenants.acme]\nanswers_keywords = "sms"\n', "acme: answers_keywords is a list of sms"),
        ('[tenants.acme]\nanswers_keywords = ["fax"]\n', "acme: answers_keywords is a list of sms"),
        ("[tenants.acme]\nhelp_text = 1\n", "tenant acme: help_text is a text"),
        (
            "[tenants.acme]\nmessage_cap = -1\n",
            "acme: message_cap is a whole number from 0 to 1000",
        ),
        ('[tenants.acme]\nmessage_cap = "4"\n', "acme: message_cap is a whole number from 0"),
        ("[tenants.acme]\ncap_days = 0\n", "acme: cap_days is a whole number from 1 to 1000"),
        ("[tenants.acme]\ncap_days = 0.5\n", "acme: cap_days is a whole number from 1 to 1000"),
        ("[tenants.acme\n", "is not TOML"),
    ],
)
def test_a_slip_is_named(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "tenants.toml"
    path.write_text(text)
    with pytest.raises(SettingError, match=said):
        load(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"LEADFLOW_TENANTS_FILE: cannot read .*none\.toml"):
        load(tmp_path / "none.toml")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('track_clicks = "no"', "acme: track_clicks is true or false"),
        ("track_opens = 0", "acme: track_opens is true or false"),
        ('test_recipients = ["nobody"]', "acme: test_recipients: 'nobody' is no address"),
    ],
)
def test_a_slip_in_what_e_mails_carry_is_named(tmp_path: Path, line: str, said: str) -> None:
    path = tmp_path / "tenants.toml"
    path.write_text(f"[tenants.acme]\n{line}\n")
    with pytest.raises(SettingError, match=said):
        load(path)
