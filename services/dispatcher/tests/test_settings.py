"""A setting that would quietly do nothing, or harm, names itself at start."""

from __future__ import annotations

import pytest

from dispatcher.settings import Settings
from leadflow.errors import SettingError
from leadflow.settings import Environment

NEEDED = {
    "LEADFLOW_DATABASE_URL": "postgresql://d:d@127.0.0.1/d",
    "LEADFLOW_LINK_SECRET": "only for tests",
    "LEADFLOW_PROVIDERS_URL": "http://127.0.0.1:8081/providers",
}


def read(**more: str) -> Settings:
    return Settings.read(Environment({**NEEDED, **more}))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("LEADFLOW_BREAKER_SHARE", each) for each in ("0", "2", "-1", "nan", "inf")),
        *(("LEADFLOW_MAIL_DOMAIN", each) for each in ("a b", "a@b.example", "x..example", "<x>")),
        *(
            ("LEADFLOW_PUBLIC_URL", each)
            for each in ("ftp://x", "http://", "http://a b", "http://[x", "https://x/?a=b")
        ),
    ],
)
def test_a_setting_that_cannot_be_meant_is_refused_by_its_name(name: str, value: str) -> None:
    with pytest.raises(SettingError, match=name):
        read(**{name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEADFLOW_BREAKER_SHARE", "1"),
        ("LEADFLOW_MAIL_DOMAIN", "mail.acme-roofing.example"),
        ("LEADFLOW_MAIL_DOMAIN", "localhost"),
        ("LEADFLOW_PUBLIC_URL", "https://leads.example.com:8443/portal/"),
    ],
)
def test_a_setting_that_is_as_it_should_be_is_taken(name: str, value: str) -> None:
    assert read(**{name: value})
