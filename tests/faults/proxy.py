"""A door between a runner and its server that counts what goes through and can slam at any moment."""

from __future__ import annotations

import contextlib
import socket
import struct
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from pgrunbook import suite

CANCEL, ENCRYPTION = 80877102, (80877103, 80877104)


@dataclass(frozen=True)
class Unit:
    """What a session asks in one go: one Query, or everything up to a Sync."""

    role: str
    number: int
    text: str


@dataclass(frozen=True)
class Point:
    """A moment in a run: before a unit reaches the server, or after its answer came and was withheld."""

    role: str
    number: int
    after: bool
    what: str = ""

    def __str__(self) -> str:
        return f"{'after' if self.after else 'before'} {self.role} {self.number} ({self.what})"


class Closed(Exception):
    """One side hung up."""


def _read(sock: socket.socket, size: int) -> bytes:
    found = b""
    while len(found) < size:
        try:
            more = sock.recv(size - len(found))
        except OSError as error:
            raise Closed from error
        if not more:
            raise Closed
        found += more
    return found


def _send(sock: socket.socket, message: bytes) -> None:
    try:
        sock.sendall(message)
    except OSError as error:
        raise Closed from error


def _message(sock: socket.socket) -> tuple[bytes, bytes]:
    head = _read(sock, 5)
    return head[:1], head + _read(sock, struct.unpack("!I", head[1:])[0] - 4)


def _close(sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        sock.shutdown(socket.SHUT_RDWR)
    sock.close()


@dataclass(eq=False)
class Wire:
    """One connection: the runner on one side, the server on the other."""

    door: Door
    client: socket.socket
    server: socket.socket = field(init=False, default_factory=lambda: socket.socket(socket.AF_UNIX))
    role: str = ""
    backend: int = 0
    withheld: bool = False
    answered: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        back = None
        try:
            self.door.wait()
            self.server.connect(str(self.door.behind))
            if self._start():
                back = threading.Thread(target=self._back, daemon=True)
                back.start()
                self._forth()
        except (Closed, OSError):
            pass
        finally:
            self.hang_up()
            if back is not None:
                back.join()
            self.door.wires.discard(self)

    def hang_up(self) -> None:
        for sock in (self.client, self.server):
            _close(sock)

    def _start(self) -> bool:
        while True:
            head = _read(self.client, 4)
            body = _read(self.client, struct.unpack("!I", head)[0] - 4)
            code = struct.unpack("!I", body[:4])[0]
            if code in ENCRYPTION:
                _send(self.client, b"N")
                continue
            _send(self.server, head + body)
            if code == CANCEL:
                with contextlib.suppress(Closed):
                    _read(self.server, 1)
                return False
            words = body[4:].decode(errors="replace").split("\0")
            name = dict(zip(words[::2], words[1::2], strict=False)).get("application_name", "")
            self.role = name.split()[1] if name.startswith("pgrunbook ") else "other"
            return True

    def _forth(self) -> None:
        unit, text = b"", ""
        while True:
            kind, message = _message(self.client)
            unit += message
            if kind == b"Q":
                text = message[5:-1].decode(errors="replace")
            elif kind == b"P":
                text = message[5:].split(b"\0")[1].decode(errors="replace")
            if kind in b"QS":
                self.door.pass_on(self, unit, text)
                unit, text = b"", ""
            elif kind in b"pX":
                _send(self.server, unit)
                unit = b""

    def _back(self) -> None:
        try:
            while True:
                kind, message = _message(self.server)
                if kind == b"K":
                    self.backend = struct.unpack("!I", message[5:9])[0]
                if not self.withheld:
                    _send(self.client, message)
                elif kind == b"Z":
                    self.answered.set()
        except Closed:
            pass
        finally:
            self.answered.set()
            _close(self.client)


@dataclass(eq=False)
class Door:
    """Listens as a server would; `fire` is called, once, when the run comes to the point."""

    folder: Path
    behind: Path
    point: Point | None = None
    fire: Callable[[Wire], bool] = lambda _wire: True
    seen: list[Unit] = field(default_factory=list)
    wires: set[Wire] = field(default_factory=set)
    fired: bool = False
    open: threading.Event = field(default_factory=threading.Event)
    """While it is clear nothing goes through, and nobody is hung up on: a network that is gone without a word."""
    held: int = 0
    """How many units and connections have waited for it."""

    def __post_init__(self) -> None:
        self.open.set()
        self._counts: Counter[str] = Counter()
        self._counting = threading.Lock()
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.folder / self.behind.name
        place.unlink(missing_ok=True)
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(str(place))
        self._listening.listen(32)
        self._thread = threading.Thread(target=self._welcome, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self.open.set()
        _close(self._listening)
        self._thread.join()
        self.cut()

    def wait(self) -> None:
        """Return once the door is open."""
        if not self.open.is_set():
            self.held += 1
            self.open.wait()

    def cut(self) -> None:
        """Hang up on everybody."""
        for wire in list(self.wires):
            wire.hang_up()

    def _welcome(self) -> None:
        while True:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            wire = Wire(self, client)
            self.wires.add(wire)
            threading.Thread(target=wire.run, daemon=True).start()

    def pass_on(self, wire: Wire, unit: bytes, text: str) -> None:
        with self._counting:
            self._counts[wire.role] += 1
            number = self._counts[wire.role]
            self.seen.append(Unit(wire.role, number, text))
        self.wait()
        here = self.point
        if here is None or self.fired or (wire.role, number) != (here.role, here.number):
            _send(wire.server, unit)
            return
        if here.after:
            wire.withheld = True
            _send(wire.server, unit)
            assert wire.answered.wait(30), "the server never answered"
        self.fired = True
        goes_on = self.fire(wire)
        if not goes_on:
            raise Closed
        if not here.after:
            _send(wire.server, unit)


D = TypeVar("D", bound=Door)


@contextlib.contextmanager
def behind_a_door(conninfo: str, kind: type[D]) -> Iterator[tuple[D, str]]:
    """Give a door of some kind before a server, and the connection string that leads through it."""
    named = conninfo_to_dict(conninfo)
    # A socket's path has about 100 bytes.
    with tempfile.TemporaryDirectory(prefix="pgrunbook-door-", dir=suite.place()) as folder:
        door = kind(Path(folder), Path(str(named["host"])) / f".s.PGSQL.{named.get('port', 5432)}")
        with contextlib.closing(door):
            yield door, make_conninfo(conninfo, host=folder)
