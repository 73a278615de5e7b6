"""Kafka's jars from Maven Central, once, into the user's cache.

jgo resolves them in Python. Its environment builder is left out on purpose: it classifies jars
with a JDK that it would fetch from elsewhere, and the broker needs only a class path. Its default
folder is left out too: it is Maven's own, and a download that was cut off would stay in it as
if it were whole. Here a folder appears under its final name only when every jar in it was read.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
import zipfile
from functools import partial
from pathlib import Path

from leadflow_cli.errors import CliError
from leadflow_cli.supervisor import Say, Supervisor

KAFKA_VERSION = "4.1.1"
KAFKA = ("org.apache.kafka", "kafka_2.13", KAFKA_VERSION)
# The binding that Kafka's own distribution adds; without it the broker logs nothing. It is taken
# as one jar: resolved together with Kafka, its parent would choose the version of kafka-clients.
LOG_BINDING = ("org.apache.logging.log4j", "log4j-slf4j-impl", "2.24.3")
DOWNLOADS_AT_ONCE = 8
LEFTOVER_SECONDS = 3600
_MANIFEST = "classpath.json"


def cache_folder() -> Path:
    """`$XDG_CACHE_HOME/leadflow`, `~/.cache/leadflow` unless set."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "leadflow"


def kafka_classpath(say: Say, cache: Path | None = None) -> list[Path]:
    """The jars of Kafka, downloaded when the cache does not hold them all.

    Raises CliError when Maven Central cannot be reached or sends something broken.
    """
    cache = cache or cache_folder()
    folder = cache / f"kafka-{KAFKA_VERSION}"
    cached = _whole(folder)
    if cached:
        return cached
    try:
        cache.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(cache)
        arriving = Path(tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=cache))
    except OSError as error:
        raise CliError(
            f"{cache} cannot hold Kafka's jars ({error.strerror}): "
            "set XDG_CACHE_HOME to a folder of yours"
        ) from error
    try:
        _download(arriving, say)
        if folder.exists() and not _whole(folder):
            shutil.rmtree(folder)
        if not folder.exists():
            arriving.rename(folder)
    except CliError:
        raise
    except Exception as error:  # jgo raises what requests, the XML parser and itself raise
        raise CliError(
            f"Kafka {KAFKA_VERSION} could not be downloaded from Maven Central ({error}): check "
            "the connection, or set LEADFLOW_KAFKA_BOOTSTRAP to a Kafka that runs"
        ) from error
    finally:
        shutil.rmtree(arriving, ignore_errors=True)
    return _whole(folder)


def cached_classpath(cache: Path | None = None) -> list[Path]:
    """The jars of Kafka if the cache holds them all, else nothing."""
    return _whole((cache or cache_folder()) / f"kafka-{KAFKA_VERSION}")


def _remove_leftovers(cache: Path) -> None:
    """Remove what a download left that was killed; a young one may still go on elsewhere."""
    for left in cache.glob("kafka-*.partial-*"):
        if time.time() - left.stat().st_mtime > LEFTOVER_SECONDS:
            shutil.rmtree(left, ignore_errors=True)


def _whole(folder: Path) -> list[Path]:
    """The jars that the folder's manifest names, or nothing when one is missing or cut short."""
    try:
        sizes: dict[str, int] = json.loads((folder / _MANIFEST).read_text())
        jars = {folder / name: size for name, size in sizes.items()}
        if all(jar.stat().st_size == size for jar, size in jars.items()):
            return list(jars)
    except (OSError, ValueError):
        pass
    return []


def _download(folder: Path, say: Say) -> None:
    from jgo.maven import MavenContext, PythonResolver  # slow to import, needed once

    say(f"resolving Kafka {KAFKA_VERSION} at Maven Central…")
    context = MavenContext(resolver=PythonResolver(), repo_cache=folder, local_repos=[], timeout=60)
    kafka, binding = (
        context.project(group, name).at_version(version).artifact()
        for group, name, version in (KAFKA, LOG_BINDING)
    )
    _given, transitive = context.resolver.resolve([context.create_dependency(":".join(KAFKA))])
    artifacts = [kafka, binding] + [
        dependency.artifact
        for dependency in transitive
        if dependency.scope in ("compile", "runtime")
    ]
    say(f"downloading Kafka {KAFKA_VERSION}, {len(artifacts)} jars…")
    jars: list[Path] = []

    def fetch(first: int) -> None:
        jars.extend(artifact.resolve() for artifact in artifacts[first::DOWNLOADS_AT_ONCE])

    # In daemon threads, unlike an executor's: Ctrl-C does not wait for downloads.
    Supervisor().together(*(partial(fetch, first) for first in range(DOWNLOADS_AT_ONCE)))
    for jar in jars:
        with zipfile.ZipFile(jar) as archive:
            if archive.testzip() is not None:
                raise CliError(f"{jar.name} arrived broken from Maven Central: start again")
    sizes = {str(jar.relative_to(folder)): jar.stat().st_size for jar in jars}
    (folder / _MANIFEST).write_text(json.dumps(sizes, indent=1))
