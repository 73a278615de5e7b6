"""What every test run needs, wherever it starts."""

from __future__ import annotations

import pytest

# pytest names a test module by its folders. The folder `sandbox` has the name of the package
# in it: unless the package is imported first, the folder would take its place.
import sandbox  # noqa: F401


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line(
        "markers", "integration: needs a socket, a process, Kafka or PostgreSQL"
    )
