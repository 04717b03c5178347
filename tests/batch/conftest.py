"""Databases for the gradebook's tests: an SQLite file, and a real PostgreSQL server that is started for the session."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from harness import REQUIRE_ALL
from sqlalchemy import text

from grader.batch.gradebook import Gradebook
from grader.batch.gradebook.models import Base

_RIGHTS_OF = "nobody"  # PostgreSQL refuses to run as root


def _programs() -> Path | None:
    """The folder of the newest server's programs: where PATH leads, or where Debian puts them."""
    on_path = [Path(found).resolve().parent for found in [shutil.which("postgres")] if found]
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name.split(".")[0]), reverse=True)
    return next(
        (folder for folder in [*on_path, *debian] if all((folder / name).exists() for name in ("postgres", "initdb", "pg_ctl"))), None
    )


@pytest.fixture(scope="session")
def postgres():
    """Make an empty database on a running server: `postgres()` returns its URL. Skips where there is no server."""
    programs = _programs()
    if programs is None:
        if REQUIRE_ALL:
            pytest.fail(
                "no PostgreSQL server is installed: postgres, initdb and pg_ctl were expected on PATH or in /usr/lib/postgresql/*/bin"
            )
        pytest.skip("no PostgreSQL server is installed")
    psycopg = pytest.importorskip("psycopg")
    folder = Path(tempfile.mkdtemp(prefix="grader-pg-"))
    user = None
    if os.getuid() == 0:
        user = _RIGHTS_OF
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    data = folder / "data"

    def run(name, *arguments):
        done = subprocess.run(
            [programs / name, "-D", data, *arguments],
            user=user,
            cwd=folder,
            env={"PATH": os.environ.get("PATH", ""), "LC_ALL": "C.UTF-8", "HOME": str(folder)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout

    try:
        run("initdb", "-U", "grader", "-A", "trust", "-E", "UTF8", "--no-sync")
        settings = f"-c listen_addresses='' -c unix_socket_directories='{folder}' -c fsync=off -c max_connections=60"
        run("pg_ctl", "start", "-w", "-t", "60", "-l", str(folder / "log"), "-o", settings)
        made = []

        def make() -> str:
            made.append(f"book_{len(made)}")
            with psycopg.connect(host=str(folder), user="grader", dbname="postgres", autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {made[-1]}")
            return f"postgresql+psycopg://grader@/{made[-1]}?host={folder}"

        yield make
    finally:
        if (data / "postmaster.pid").exists():
            run("pg_ctl", "stop", "-m", "immediate")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(params=["sqlite", "postgresql"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new gradebook may be made, on each of the two databases."""
    if request.param == "sqlite":
        return str(tmp_path / "class.db")
    return request.getfixturevalue("postgres")()


@pytest.fixture(scope="session")
def made_before(request, tmp_path_factory):
    """A gradebook of each kind that was opened before, for migrations take a while: `made_before(kind)` returns where it is."""
    made = {}

    def find(kind):
        if kind not in made:
            made[kind] = str(tmp_path_factory.mktemp("made") / "class.db") if kind == "sqlite" else request.getfixturevalue("postgres")()
            Gradebook.open(made[kind]).close()
        return made[kind]

    return find


@pytest.fixture(params=["sqlite", "postgresql"])
def book(request, made_before, tmp_path):
    """An empty gradebook, on each of the two databases: a copy of the file; the server's with its tables emptied."""
    where = made_before(request.param)
    if request.param == "sqlite":
        where = shutil.copy(where, tmp_path / "class.db")
    with Gradebook.open(where, create=False) as opened:
        if request.param == "postgresql":
            with opened._database.writing() as writing:
                names = ", ".join(Base.metadata.tables)
                writing.execute(text(f"TRUNCATE {names} RESTART IDENTITY"))
        yield opened
