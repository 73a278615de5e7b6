"""One portal process for all modules here, each with tenants of its own.

So topics that others write to as well disturb nobody, and the portal is started once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from .browsing import launched
from .process import Portal, Process, eventually

FOLDER = Path(__file__).parent
MODULES = sorted(path.name for path in FOLDER.glob("test_*.py"))
RUNNING = pytest.StashKey[Process]()


@pytest.fixture(scope="session")
def portal_process(
    kafka_bootstrap: str,
    admin_url: str,
    secret: str,
    tmp_path_factory: pytest.TempPathFactory,
    pytestconfig: pytest.Config,
) -> Process:
    folder = tmp_path_factory.mktemp("portal")
    made = Process(kafka_bootstrap, admin_url, secret, folder, len(MODULES))
    pytestconfig.stash[RUNNING] = made
    return made


@pytest.fixture(scope="module")
def portal(portal_process: Process, request: pytest.FixtureRequest) -> Portal:
    portal_process.start()
    return Portal(portal_process, portal_process.tenants[MODULES.index(request.path.name)])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
    """The portal ends with the last test here, not with the session: it would go on reading
    what all others write."""
    try:
        yield
    finally:
        last = nextitem is None or FOLDER not in nextitem.path.parents
        if last and RUNNING in item.config.stash:
            item.config.stash[RUNNING].stop()


@pytest.fixture(scope="session")
def wait_until() -> Callable[..., Any]:
    return eventually


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with launched() as browser:
        yield browser
