"""A tenant's calendar is looked at when a worker starts, not when a lead depends on it."""

import pytest

from leadflow.errors import SettingError
from leadflow.tenants import Tenant
from sequencer.main import check_calendars


@pytest.mark.parametrize(
    "tenant",
    [
        Tenant(tenant_id="acme", holidays="Atlantis"),
        Tenant(tenant_id="acme", holidays="US-XX"),
        Tenant(tenant_id="acme", send_hours={"sms": "08:00-08:00"}),
    ],
)
def test_a_calendar_that_does_not_exist_stops_the_worker_and_names_the_tenant(
    tenant: Tenant,
) -> None:
    with pytest.raises(SettingError, match="acme"):
        check_calendars({"acme": tenant})


def test_known_holidays_and_hours_are_taken() -> None:
    check_calendars({"acme": Tenant(tenant_id="acme", holidays="US-TX", send_hours={})})
