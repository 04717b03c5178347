"""Databases for the gradebook's tests: an SQLite file, and a real PostgreSQL server that is started for the session."""

import os
import pwd
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest
from harness import REQUIRE_ALL

from grader.batch.gradebook import Gradebook

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

        def make(template="template0") -> str:
            made.append(f"book_{len(made)}")
            with psycopg.connect(host=str(folder), user="grader", dbname="postgres", autocommit=True) as connection:
                connection.execute(f"CREATE DATABASE {made[-1]} TEMPLATE {template}")
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
def template(request, tmp_path_factory):
    """Make a new gradebook as a copy of one that was opened before (migrations take a while): `template(kind)` returns where it is."""
    made = {}

    def copy(kind, path):
        if kind == "sqlite":
            if kind not in made:
                made[kind] = tmp_path_factory.mktemp("template") / "class.db"
                Gradebook.open(made[kind]).close()
            shutil.copy(made[kind], path)
            return str(path)
        make = request.getfixturevalue("postgres")
        if kind not in made:
            made[kind] = make()
            Gradebook.open(made[kind]).close()
        return make(template=made[kind].partition("?")[0].rpartition("/")[2])

    return copy


@pytest.fixture(params=["sqlite", "postgresql"])
def book(request, template, tmp_path):
    """A new gradebook, on each of the two databases."""
    with Gradebook.open(template(request.param, tmp_path / "class.db"), create=False) as opened:
        yield opened
