"""Poolers for tests: PgBouncer itself where it is installed, and a stand-in that is always there."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/usr/local/sbin")
PORT = 6432


@contextlib.contextmanager
def pgbouncer(database: str, mode: str, *options: str) -> Iterator[str]:
    """Run PgBouncer before a database, pooling by `session`, `transaction` or `statement`."""
    assert PGBOUNCER is not None
    known = conninfo_to_dict(database)
    folder = Path(tempfile.mkdtemp(prefix="pgrunbook-pb-", dir="/tmp"))
    (folder / "users.txt").write_text(f'"{known["user"]}" ""\n')
    (folder / "pgbouncer.ini").write_text(
        f"[databases]\n{known['dbname']} = host={known['host']} port={known['port']}\n"
        f"[pgbouncer]\nlisten_addr =\nlisten_port = {PORT}\nunix_socket_dir = {folder}\nauth_type = trust\n"
        f"auth_file = {folder}/users.txt\npool_mode = {mode}\nlogfile = {folder}/log\n" + "\n".join(options)
    )
    user = {}
    if os.getuid() == 0:
        # It refuses to run as root.
        user = {"user": "nobody", "group": "nogroup"}
        for place in (folder, *folder.iterdir()):
            shutil.chown(place, "nobody", "nogroup")
    process = subprocess.Popen(
        [PGBOUNCER, "-q", str(folder / "pgbouncer.ini")],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **user,  # type: ignore[call-overload]
    )  # fmt: skip
    conninfo = make_conninfo(database, host=str(folder), port=PORT)
    try:
        for _ in range(500):
            with contextlib.suppress(psycopg.OperationalError), psycopg.connect(conninfo):
                break
            time.sleep(0.01)
        yield conninfo
    finally:
        process.terminate()
        process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def stand_in(database: str, *, shared: bool) -> Iterator[str]:
    """Run a pooler that gives one session of the server to all, a transaction at a time, or one to each."""
    folder = tempfile.mkdtemp(prefix="pgrunbook-pb-", dir="/tmp")
    made: list[_Serving] = []

    def serving() -> _Serving:
        if not made or not shared:
            made.append(_Serving(database))
        return made[0 if shared else -1]

    with contextlib.closing(socket.socket(socket.AF_UNIX)) as listening:
        listening.bind(f"{folder}/.s.PGSQL.{PORT}")
        listening.listen()

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _ = listening.accept()
                    threading.Thread(target=_serve, args=(client, serving), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield make_conninfo(database, host=folder, port=PORT)
        listening.shutdown(socket.SHUT_RDWR)
    for one in made:
        one.server.close()
    shutil.rmtree(folder, ignore_errors=True)


class _Serving:
    """A session of the server: its socket, what it said at the start, and whose turn it is."""

    def __init__(self, database: str) -> None:
        known = conninfo_to_dict(database)
        self.turn = threading.Lock()
        self.server = socket.socket(socket.AF_UNIX)
        self.server.connect(f"{known['host']}/.s.PGSQL.{known['port']}")
        words = f"user\0{known['user']}\0database\0{known['dbname']}\0\0".encode()
        self.server.sendall(struct.pack("!ii", len(words) + 8, 196608) + words)
        self.hello, kind = b"", b""
        while kind != b"Z":
            kind, message = _message(self.server)
            # A pid of its own making, as poolers give: it names no session of the server.
            self.hello += b"K" + struct.pack("!iii", 12, 987654321, 1) if kind == b"K" else message


def _serve(client: socket.socket, serving: object) -> None:
    with contextlib.suppress(OSError, ConnectionError), client:
        size, code = struct.unpack("!ii", _exactly(client, 8))
        _exactly(client, size - 8)
        if code != 196608:
            return
        one: _Serving = serving()  # type: ignore[operator]
        client.sendall(one.hello)
        holding = False
        while True:
            kind, message = _message(client)
            if kind == b"X":
                break
            if not holding:
                one.turn.acquire()
                holding = True
            one.server.sendall(message)
            if kind in (b"Q", b"S"):
                answer = b""
                while answer[:1] != b"Z":
                    _, answer = _message(one.server)
                    client.sendall(answer)
                if answer[-1:] == b"I":
                    one.turn.release()
                    holding = False


def _message(source: socket.socket) -> tuple[bytes, bytes]:
    head = _exactly(source, 5)
    return head[:1], head + _exactly(source, struct.unpack("!i", head[1:])[0] - 4)


def _exactly(source: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        if not (more := source.recv(size - len(found))):
            raise ConnectionError
        found += more
    return found
