"""The dependency rule of design.md ("Layout"), held over the imports of every file.

`decide` and `model` know no Kafka, database, HTTP, clock, randomness or logging; services never
import one another; `libs/leadflow` imports no service. An import counts wherever it stands:
inside a function or under TYPE_CHECKING, too.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SERVICES = {"intake", "sequencer", "dispatcher", "crm_sync", "portal_api"}
LIBRARY = "leadflow"
TOOLS = {"sandbox", "leadflow_cli"}

EFFECTS = {
    "confluent_kafka", "faust", "mode", "aiokafka", "rocksdict",  # Kafka
    "sqlalchemy", "asyncpg", "alembic",  # databases
    "httpx", "fastapi", "starlette", "uvicorn", "aiosmtplib", "smtplib", "urllib", "http", "socket",
    "logging", "structlog", "prometheus_client",
    "random", "secrets", "time", "asyncio", "threading", "os", "subprocess",
}  # fmt: skip
# Parts of the library that have effects; the others are values and pure functions.
EFFECTS_OF_LIBRARY = {
    f"{LIBRARY}.{name}"
    for name in ("clock", "database", "health", "kafka", "logs", "metrics", "registry", "service")
}
CLOCK_CALLS = {"now", "utcnow", "today"}
RANDOM_CALLS = {"uuid1", "uuid4"}
# The one place that imports faust (design.md), and the table class that notes/faust.md has the
# app given (`faust.App(Table=…)`).
FAUST = {"sequencer.app", "sequencer.fetching", "sequencer.table"}


def package_files(package: str) -> Iterator[tuple[str, ast.Module]]:
    """(dotted name, syntax tree) of every module of a package."""
    [folder] = [path for path in ROOT.glob(f"**/src/{package}") if ".venv" not in path.parts]
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        yield name, ast.parse(path.read_text(), str(path))


def imports(tree: ast.Module, module: str = "") -> set[str]:
    """Every module that is imported, with its dots; `from a import b` gives both a and a.b."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = node.module or ""
            if node.level:
                origin = ".".join([*module.split(".")[: -node.level], origin]).rstrip(".")
            found.add(origin)
            found.update(f"{origin}.{alias.name}" for alias in node.names)
    return found


def reaches(imported: set[str], forbidden: set[str]) -> set[str]:
    """The forbidden packages and modules among the imported ones, or above them."""
    return {name for name in forbidden for each in imported if f"{each}.".startswith(f"{name}.")}


def names(tree: ast.Module) -> set[str]:
    """Every name that a module uses, behind a dot or not."""
    named = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    return named | {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def is_core(module: str) -> bool:
    return not {"decide", "model"}.isdisjoint(module.split(".")[1:])


def impurities(tree: ast.Module, module: str) -> set[str]:
    """What keeps a module from being a pure one."""
    clock = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in CLOCK_CALLS
        and isinstance(node.value, (ast.Name, ast.Attribute))
        and ast.unparse(node.value).rpartition(".")[2] in ("datetime", "date")
    }
    random = names(tree) & RANDOM_CALLS
    return reaches(imports(tree, module), EFFECTS | EFFECTS_OF_LIBRARY) | clock | random


def imported_within(service: str, module: str, trees: dict[str, ast.Module]) -> set[str]:
    """The modules of a service that a module of it needs, itself first, and theirs."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in trees and name not in found:
            found.add(name)
            waiting += [each for each in imports(trees[name], name) if each.startswith(service)]
    return found


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_decide_and_model_and_all_they_import_are_pure(service: str) -> None:
    trees = dict(package_files(service))
    needed = {
        each
        for module in filter(is_core, trees)
        for each in imported_within(service, module, trees)
    }
    found = {module: impurities(trees[module], module) for module in needed}
    assert {module: names for module, names in found.items() if names} == {}


def test_the_services_that_decide_have_a_pure_core() -> None:
    for service in SERVICES - {"portal_api"}:  # it projects, and decides nothing
        cores = {module.split(".")[1] for module, _ in package_files(service) if is_core(module)}
        assert cores == {"decide", "model"}


@pytest.mark.parametrize("service", sorted(SERVICES))
def test_a_service_imports_no_other(service: str) -> None:
    others = SERVICES - {service} | TOOLS
    found = {
        module: reaches(imports(tree, module), others) for module, tree in package_files(service)
    }
    assert {module: names for module, names in found.items() if names} == {}


@pytest.mark.parametrize("package", [LIBRARY, "sandbox"])
def test_what_all_share_imports_no_service(package: str) -> None:
    others = SERVICES | TOOLS - {package}
    found = {
        module: reaches(imports(tree, module), others) for module, tree in package_files(package)
    }
    assert {module: names for module, names in found.items() if names} == {}


def test_what_templates_become_depends_on_nothing_but_them() -> None:
    """Dispatcher, portal and sequencer share it (ADR 21): no effects, no service, no clock."""
    harmless = {"urllib"}  # addresses taken apart
    for module, tree in package_files("rendering"):
        assert impurities(tree, module) - harmless == set(), module
        assert reaches(imports(tree, module), SERVICES | TOOLS) == set(), module


def test_the_command_uses_parts_of_services_that_have_no_effects() -> None:
    """A dry run decides as the services decide and a story is told in the portal's words: the
    command may import what does that, never what talks to a broker or a database."""
    used = {
        name: imports(tree, name)
        for name, tree in package_files("leadflow_cli")
        if reaches(imports(tree, name), SERVICES)
    }
    harmless = {"structlog", "urllib"}  # a word on what cannot be read; URLs taken apart
    for service in SERVICES:
        trees = dict(package_files(service))
        for name, imported in used.items():
            for module in imported & set(trees):
                needed = imported_within(service, module, trees)
                found = {
                    each: reaches(imports(trees[each], each), EFFECTS - harmless) for each in needed
                }
                assert {each: bad for each, bad in found.items() if bad} == {}, name


def test_faust_is_imported_where_it_is_needed_only() -> None:
    found = {
        module
        for package in (*SERVICES, LIBRARY, *TOOLS)
        for module, tree in package_files(package)
        if reaches(imports(tree, module), {"faust", "mode"})
    }
    assert found == FAUST


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("import sqlalchemy.ext.asyncio as x", {"sqlalchemy"}),
        ("from confluent_kafka import Producer", {"confluent_kafka"}),
        ("def f():\n    import logging", {"logging"}),
        ("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import httpx", {"httpx"}),
        ("from leadflow import kafka", {"leadflow.kafka"}),
        ("from leadflow.kafka.port import Message", {"leadflow.kafka"}),
        ("from datetime import datetime\nat = datetime.now()", {"now"}),
        ("import datetime\nat = datetime.datetime.utcnow()", {"utcnow"}),
        ("from datetime import datetime\nclock = datetime.now", {"now"}),
        ("from uuid import uuid4\nname = uuid4()", {"uuid4"}),
        ("import time", {"time"}),
        ("from random import choice", {"random"}),
        ("import timeit, httpx_like, loggingx", set()),
        ("from datetime import datetime, timedelta\nlater = now + timedelta(1)", set()),
        ("def decide(state, event, now):\n    return clock.now(now)", set()),
    ],
)
def test_the_checker_sees_what_is_impure(text: str, found: set[str]) -> None:
    assert impurities(ast.parse(text), "intake.decide") == found


def test_the_checker_sees_another_service_and_a_relative_import() -> None:
    tree = ast.parse("from dispatcher.model import Entry\nfrom .store import Store")
    assert reaches(imports(tree, "intake.decide"), SERVICES - {"intake"}) == {"dispatcher"}
    assert "intake.store" in imports(tree, "intake.decide")


def test_the_checker_follows_what_the_core_imports() -> None:
    trees = {
        "intake.decide": ast.parse("from intake import facts"),
        "intake.facts": ast.parse("import httpx"),
        "intake.main": ast.parse("import asyncio"),
    }
    assert imported_within("intake", "intake.decide", trees) == {"intake.decide", "intake.facts"}
