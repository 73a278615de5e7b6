"""The files that are shipped beside the code: demo leads, library, tenants, benches."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from leadflow_cli.errors import CliError

# The repository that this file is in, or the folder that the container image keeps them in.
ROOTS = (Path(__file__).parents[3], Path("/app"))


def shipped(name: str) -> Path | None:
    """A file or folder at the root of the repository, None where it is not shipped."""
    return next((root / name for root in ROOTS if (root / name).exists()), None)


def demo_folder(environment: Mapping[str, str]) -> Path:
    """LEADFLOW_DEMO_DIR, else the shipped `demo`. Raises CliError when it is not there."""
    if setting := environment.get("LEADFLOW_DEMO_DIR"):
        folder = Path(setting).expanduser()
        if not folder.is_dir():
            raise CliError(f"LEADFLOW_DEMO_DIR is {setting}, which is not a folder")
        return folder
    found = shipped("demo")
    if found is None:
        raise CliError("the demo's leads are not installed here: set LEADFLOW_DEMO_DIR")
    return found


def shipped_settings() -> dict[str, str]:
    """What services are told of the shipped files, unless the person's settings say otherwise."""
    found = {
        "LEADFLOW_TENANTS_FILE": shipped("demo/tenants.toml"),
        "LEADFLOW_LIBRARY": shipped("library"),
    }
    return {name: str(path) for name, path in found.items() if path is not None}
