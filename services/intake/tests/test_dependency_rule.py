"""What decides imports nothing that acts."""

from __future__ import annotations

import ast
from pathlib import Path

import intake

FOLDER = Path(intake.__file__).parent
ACTORS = {
    "__main__.py",
    "forgetting.py",
    "handler.py",
    "main.py",
    "opening.py",
    "snapshots.py",
    "store.py",
}
FORBIDDEN = [
    "leadflow.kafka",
    "leadflow.database",
    "leadflow.clock",
    "leadflow.codec",
    "leadflow.service",
    "leadflow.health",
    "leadflow.metrics",
    "leadflow.logs",
    "confluent_kafka",
    "sqlalchemy",
    "asyncpg",
    "httpx",
    "structlog",
    "logging",
    "random",
    "secrets",
    "time",
    "asyncio",
    "socket",
    "intake.store",
    "intake.forgetting",
    "intake.handler",
    "intake.opening",
    "intake.main",
]


def imports(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {f"{node.module}.{alias.name}" for alias in node.names} | {node.module}
    return names


def test_only_the_shell_reaches_outside() -> None:
    pure = [
        path
        for path in FOLDER.rglob("*.py")
        if path.name not in ACTORS and "migrations" not in path.parts
    ]
    assert len(pure) > 20
    for path in pure:
        for name in imports(path):
            assert not any(name == bad or name.startswith(f"{bad}.") for bad in FORBIDDEN), (
                f"{path.name} imports {name}"
            )
