"""Dependents: what stands against a DROP, as far as the catalog knows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from postgast import pg_query_pb2 as grammar

from pgrunbook import session
from pgrunbook.derived.check import Check
from pgrunbook.derived.course import Course
from pgrunbook.derived.site import Site
from pgrunbook.derived.tables import type_name
from pgrunbook.header import Header, Severity
from pgrunbook.naming import Tree, inner, object_words, quote_name
from pgrunbook.session import Connection

__all__ = ["STANDING", "of_command", "of_drop"]

STANDING = Header(
    "Objects that depend on what is dropped",
    effect="the statement fails with 2BP01",
    remedy="drop or change them in a step before; functions whose body is only text are not known to depend",
)
_GO_WITH = Header(
    "Objects that CASCADE drops too",
    effect="they are dropped with it, and no rollback of this step brings them back",
    remedy="drop each of them by name in a step of its own, with its own way back",
    severity=Severity.WARN,
)
_MISSING = Header(
    "What is to be dropped is not there",
    effect="the statement fails",
    remedy="check the name and search_path, or write IF EXISTS",
)


# As pg_get_object_address() spells them; and those whose names the grammar lists in another way.
_TYPES = {
    grammar.OBJECT_FDW: "foreign-data wrapper",
    grammar.OBJECT_FOREIGN_SERVER: "server",
    grammar.OBJECT_STATISTIC_EXT: "statistics object",
    grammar.OBJECT_TSCONFIGURATION: "text search configuration",
    grammar.OBJECT_TSDICTIONARY: "text search dictionary",
    grammar.OBJECT_TSPARSER: "text search parser",
    grammar.OBJECT_TSTEMPLATE: "text search template",
}
_UNKNOWN = {
    grammar.OBJECT_CAST,
    grammar.OBJECT_OPCLASS,
    grammar.OBJECT_OPERATOR,
    grammar.OBJECT_OPFAMILY,
    grammar.OBJECT_ROUTINE,
    grammar.OBJECT_TRANSFORM,
}


@dataclass(frozen=True, slots=True)
class _Object:
    """An object as pg_get_object_address wants it."""

    type: str
    names: tuple[str, ...]
    arguments: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it in words."""
        return f"{self.type.removeprefix('table ')} {'.'.join(self.names)}"


def of_drop(tree: Tree, course: Course, site: Site) -> Iterator[Check]:
    """Yield the questions about a DROP."""
    objects = list(_objects(tree))
    fresh = [
        one
        for one in objects
        if not (course.makes(".".join(map(quote_name, one.names))) or course.built(one.names[-1]))
    ]
    if fresh:
        cascade = tree.behavior == grammar.DROP_CASCADE
        yield from _checks(fresh, course, site, cascade=cascade, missing_ok=tree.missing_ok)


def of_command(tree: Tree, command: Tree, course: Course, site: Site) -> Iterator[Check]:
    """Yield the questions about a DROP COLUMN or DROP CONSTRAINT."""
    type_ = "table column" if command.subtype == grammar.AT_DropColumn else "table constraint"
    relation = [part for part in (tree.relation.schemaname, tree.relation.relname) if part]
    made = course.makes(relation[-1]) or course.touches(relation[-1], command.name)
    if made or course.added(relation[-1], command.name):
        return
    one = _Object(type_, (*relation, command.name))
    cascade = command.behavior == grammar.DROP_CASCADE
    missing_ok = command.missing_ok or tree.missing_ok
    yield from _checks([one], course, site, cascade=cascade, missing_ok=missing_ok)


def _checks(
    objects: Sequence[_Object], course: Course, site: Site, *, cascade: bool, missing_ok: bool
) -> Iterator[Check]:
    listed = ", ".join(map(str, objects))
    before = [one for tree in course.dropped for one in _objects(tree)]
    before += [_Object(type_, names) for type_, names in course.parts]
    before += map(_replaced, course.replaced)
    unnamed = any(len(list(_objects(tree))) < len(tree.objects) for tree in course.dropped)
    doubt = "" if cascade else course.frees or ("DROP before" if unnamed else "")

    def stand(conn: Connection) -> Sequence[Mapping[str, Any]]:
        seeds, gone = _addresses(conn, objects), _addresses(conn, before)
        names = ("classes", "objects", "parts")
        asked = {name: [a[i] for a in seeds] for i, name in enumerate(names)}
        asked |= {f"gone_{name}": [a[i] for a in gone] for i, name in enumerate(names)}
        return session.rows(conn, "derived_dependents", asked)

    def missing(conn: Connection) -> Sequence[Mapping[str, Any]]:
        return [{"missing": str(one)} for one in objects if not _addresses(conn, [one])]

    header = _GO_WITH if cascade else STANDING
    yield Check(site.step, f"dependents of {listed}", header, look=stand, path=site.path, doubt=doubt)
    if not missing_ok and not course.names and not course.parts_made:
        yield Check(site.step, f"presence of {listed}", _MISSING, look=missing, path=site.path)


def _addresses(conn: Connection, objects: Iterable[_Object]) -> list[tuple[int, int, int]]:
    """Return the addresses of the objects that are there."""
    found = []
    for one in objects:
        try:
            with conn.transaction():
                row = conn.execute(
                    "SELECT classid::bigint AS class, objid::bigint AS object, objsubid AS part"
                    " FROM pg_get_object_address(%s, %s::text[], %s::text[])",
                    (one.type, list(one.names), list(one.arguments)),
                ).fetchone()
        except psycopg.Error:
            continue
        assert row is not None
        found.append((row["class"], row["object"], row["part"]))
    return found


def _replaced(tree: Tree) -> _Object:
    if tree.DESCRIPTOR.name == "ViewStmt":
        return _Object("view", tuple(part for part in (tree.view.schemaname, tree.view.relname) if part))
    given = (inner(one) for one in tree.parameters)
    back = (grammar.FUNC_PARAM_OUT, grammar.FUNC_PARAM_TABLE)
    types = tuple(type_name(one.arg_type) for one in given if one.mode not in back)
    kind = "procedure" if tree.is_procedure else "function"
    return _Object(kind, tuple(inner(part).sval for part in tree.funcname), types)


def _objects(tree: Tree) -> Iterator[_Object]:
    words = _TYPES.get(tree.remove_type, object_words(tree.remove_type).lower())
    if tree.remove_type in _UNKNOWN:
        return
    for node in tree.objects:
        match node.WhichOneof("node"):
            case "list":
                names = tuple(item.string.sval for item in node.list.items)
                plain = {grammar.OBJECT_TRIGGER: "trigger", grammar.OBJECT_POLICY: "policy"}
                yield _Object(plain.get(tree.remove_type, words), names)
            case "type_name":
                name = ".".join(quote_name(part.string.sval) for part in node.type_name.names)
                yield _Object("type", (name,))
            case "string":
                yield _Object(words, (inner(node).sval,))
            case "object_with_args" if not node.object_with_args.args_unspecified:
                routine = node.object_with_args
                types = [type_name(one.type_name) for one in routine.objargs]
                yield _Object(words, tuple(part.string.sval for part in routine.objname), tuple(types))
            case _:
                # A routine without its arguments may be any of several.
                continue
