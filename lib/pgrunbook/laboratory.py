"""The race laboratory: runs the races of a folder on scratch databases of the embedded server."""

from __future__ import annotations

import atexit
import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from pgrunbook import change as changes
from pgrunbook import kernel, outcome, places, race, samples, server, session
from pgrunbook.errors import SampleFailed
from pgrunbook.outcome import Result
from pgrunbook.server import Server
from pgrunbook.target import Target
from pgrunbook.telling import telling
from pgrunbook.views import races
from pgrunbook.views.view import View

__all__ = ["Laboratory"]

# Like a rehearsal's: what a killed process leaves behind is swept away with them.
_PREFIX = "rehearsal_race_"


@telling
class Laboratory:
    """Races for a notebook: `Laboratory.open()`. Nothing here ever reaches a target.

    A race that stands on a change runs in a copy of that change's go sample with all of its steps applied, so that
    it proves what is shipped; the sample is made once.
    """

    def __init__(self, running: Server, *, root: Path, changes_root: Path) -> None:
        """Use a running server; `open` is the way to make one for a notebook."""
        self.server, self.root, self.changes_root = running, root, changes_root
        self._prepared: dict[str, Target] = {}

    @classmethod
    def open(cls) -> Laboratory:
        """Return the laboratory of the races that the environment names, on the embedded server."""
        opened = cls.on(server.start(places.embedded_major()))
        # Before the server itself is stopped: what was registered last is done first.
        atexit.register(opened.close)
        return opened

    @classmethod
    def on(cls, running: Server) -> Laboratory:
        """Return the laboratory of the races that the environment names, on a server that runs already."""
        samples.sweep(running)
        return cls(running, root=race.root_from(os.environ), changes_root=changes.root_from(os.environ))

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> object:
        text = "races run on scratch databases of the embedded server; no target is touched"
        return View(text)._repr_mimebundle_()

    def close(self) -> None:
        """Drop the databases."""
        while self._prepared:
            _, target = self._prepared.popitem()
            with contextlib.suppress(Exception):
                samples.remove(self.server, target)

    def race(self, name: str) -> View:
        """Return what becomes of every permutation of one race."""
        return races.race(self.run(name))

    def overview(self) -> View:
        """Return what becomes of every race in the folder; a row for each where somebody is there to read it."""
        results = [self.run(name) for name in race.names(self.root)]
        return races.overview(results, listed=kernel.attended())

    def run(self, name: str) -> Result:
        """Return the result of a race, read and run now.

        Raises UnknownName, BadRace, RaceFailed, and for the change that it stands on what loading one raises.
        """
        chosen = race.load(name, root=self.root)
        with self._database(chosen.on) as conninfo:
            return outcome.run(chosen, conninfo)

    @contextlib.contextmanager
    def _database(self, on: str) -> Iterator[str]:
        name = f"{_PREFIX}{secrets.token_hex(6)}"
        if on:
            template = conninfo_to_dict(self._prepare(on).conninfo)["dbname"]
            with psycopg.connect(self.server.conninfo_for("postgres"), autocommit=True) as conn:
                copy = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
                conn.execute(copy.format(sql.Identifier(name), sql.Identifier(str(template))))
        else:
            server.create_database(self.server, name)
        try:
            yield self.server.conninfo_for(name)
        finally:
            server.drop_database(self.server, name)

    def _prepare(self, on: str) -> Target:
        if on not in self._prepared:
            chosen = changes.load(on, root=self.changes_root)
            target = self._prepared[on] = samples.make(self.server, chosen, planted=[])
            with session.connect(target, purpose="race") as conn:
                for step in chosen.steps:
                    try:
                        conn.execute(step.migrate.text.encode())
                    except psycopg.Error as error:
                        reason = str(error).splitlines()[0]
                        raise SampleFailed(file=step.migrate.label, reason=reason) from error
        return self._prepared[on]
