"""Settings: defaults, and a malformed one that names itself."""

from __future__ import annotations

import pytest

from sandbox.settings import BadSetting, Settings, read_settings


def test_without_settings_the_fixed_ports_are_used() -> None:
    assert read_settings({}) == Settings("127.0.0.1", 8081, 8025, 1_000_000)


def test_a_smtp_port_of_zero_turns_the_sink_off() -> None:
    assert read_settings({"LEADFLOW_SMTP_SINK_PORT": "0"}).smtp_port == 0


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("LEADFLOW_SANDBOX_PORT", "http"),
        ("LEADFLOW_SANDBOX_PORT", "0"),
        ("LEADFLOW_SMTP_SINK_PORT", "65536"),
        ("LEADFLOW_SANDBOX_MAX", "-1"),
    ],
)
def test_a_malformed_setting_names_itself(name: str, value: str) -> None:
    with pytest.raises(BadSetting, match=name):
        read_settings({name: value})
