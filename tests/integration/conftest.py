"""Real Kafka and PostgreSQL for the integration tests."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(scope="session")
def kafka_bootstrap() -> str:
    return os.environ["LEADFLOW_TEST_KAFKA_BOOTSTRAP"]


@pytest.fixture(scope="session")
def secret() -> str:
    return "dev"


@pytest.fixture(scope="session")
def admin_url() -> str:
    return os.environ["LEADFLOW_TEST_DATABASE_URL"]
