"""An open page hears of its own tenant, and of no other."""

from __future__ import annotations

from portal_api.live import Broadcaster, changes_of
from portal_api.projections.rows import Rows
from portal_api.projections.tables import ENROLLMENTS, LEADS


def two_tenants() -> Rows:
    rows = Rows()
    for tenant in ("acme", "north"):
        rows.put(
            ENROLLMENTS,
            enrollment_id=f"{tenant}-1",
            tenant_id=tenant,
            sequence_id=f"{tenant}.first-touch",
        )
    rows.put(LEADS, lead_id="lead-1", tenant_id="north")
    return rows


async def test_of_a_batch_about_two_tenants_a_page_hears_its_own_part() -> None:
    broadcaster = Broadcaster()
    with broadcaster.subscription("acme") as acme:
        broadcaster.publish(changes_of(two_tenants()))
        change = await acme.take(1)
    assert (change.kinds, change.sequences) == ({"enrollments"}, {"acme.first-touch"})


async def test_who_may_see_every_tenant_hears_of_all() -> None:
    broadcaster = Broadcaster()
    with broadcaster.subscription(None) as everybody:
        broadcaster.publish(changes_of(two_tenants()))
        change = await everybody.take(1)
    assert change.kinds == {"enrollments", "leads"}
    assert change.sequences == {"acme.first-touch", "north.first-touch"}


async def test_a_change_of_another_tenant_wakes_nobody() -> None:
    broadcaster = Broadcaster()
    with broadcaster.subscription("south") as south:
        broadcaster.publish(changes_of(two_tenants()))
        assert not await south.take(0)
