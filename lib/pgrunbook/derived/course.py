"""The course of a change: what the statements before the one that is looked at will have made or undone."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import dataclass, field

from postgast import pg_query_pb2 as grammar

from pgrunbook.naming import CHANGES_ROWS, Tree, creates, inner, name, object_words, quote_name, walk
from pgrunbook.patience import split_name

__all__ = ["Course", "commands", "default_of", "is_serial", "sets_values"]

EVERYTHING = "*"
# After these a name may mean something that is not there now.
_MAKES_NAMES = (
    "CompositeTypeStmt",
    "CreateDomainStmt",
    "CreateEnumStmt",
    "CreateExtensionStmt",
    "CreateFunctionStmt",
    "CreateRangeStmt",
    "CreateSchemaStmt",
    "DefineStmt",
    "RenameStmt",
    "AlterObjectSchemaStmt",
    "ViewStmt",
)
_RELATIONS = (
    grammar.OBJECT_TABLE,
    grammar.OBJECT_FOREIGN_TABLE,
    grammar.OBJECT_VIEW,
    grammar.OBJECT_MATVIEW,
    grammar.OBJECT_SEQUENCE,
    grammar.OBJECT_INDEX,
)
# After these something may no longer depend on what it depends on now, in a way that is not looked into here.
_FREES = (
    "AlterDomainStmt",
    "AlterExtensionContentsStmt",
    "AlterExtensionStmt",
    "AlterObjectSchemaStmt",
    "AlterOpFamilyStmt",
    "AlterOperatorStmt",
    "AlterPolicyStmt",
    "AlterPublicationStmt",
    "AlterSeqStmt",
    "AlterTSConfigurationStmt",
    "AlterTypeStmt",
    "CallStmt",
    "CreateTrigStmt",
    "DoStmt",
    "DropOwnedStmt",
    "RenameStmt",
    "RuleStmt",
)
_FREES_AS_COMMAND = (
    grammar.AT_DetachPartition,
    grammar.AT_DetachPartitionFinalize,
    grammar.AT_DropExpression,
    grammar.AT_DropIdentity,
    grammar.AT_DropInherit,
    grammar.AT_DropOf,
    grammar.AT_SetExpression,
)
# The order in which the server takes the commands of one ALTER TABLE, as far as it matters here.
_PASS = {
    grammar.AT_DropColumn: 0,
    grammar.AT_DropConstraint: 0,
    grammar.AT_AlterColumnType: 1,
    grammar.AT_AddColumn: 2,
}


@dataclass(slots=True)
class Course:
    """What will be different from the catalog of now, as far as the grammar tells; in doubt it says yes.

    A name without schema and one with are taken for the same when their last parts are. `parts` are the columns,
    constraints and defaults that are dropped or get another type, as pg_get_object_address names them, `replaced`
    the views and functions that are written anew; `frees` says which statement may have taken away, unseen, what
    depends on something, in words; `parts_made` says that something was made
    or renamed whose name is not known here, `sets_numbers` that the next number of a sequence was
    set, `sets_path` that search_path was.
    """

    relations: set[str] = field(default_factory=set)
    columns: set[tuple[str, str]] = field(default_factory=set)
    constraints: dict[tuple[str, str], tuple[Tree, Tree]] = field(default_factory=dict)
    indexes: dict[str, Tree] = field(default_factory=dict)
    sequences: dict[str, Tree] = field(default_factory=dict)
    unique: set[str] = field(default_factory=set)
    gone: set[str] = field(default_factory=set)
    gone_relations: set[str] = field(default_factory=set)
    dropped: list[Tree] = field(default_factory=list)
    parts: list[tuple[str, tuple[str, ...]]] = field(default_factory=list)
    replaced: list[Tree] = field(default_factory=list)
    frees: str = ""
    rows: dict[str, str] = field(default_factory=dict)
    policies: set[str] = field(default_factory=set)
    empty: set[tuple[str, str]] = field(default_factory=set)
    names: bool = False
    sets_numbers: bool = False
    sets_path: bool = False
    parts_made: bool = False

    def copied(self) -> Course:
        """Return a copy that may go on by itself."""
        return copy.deepcopy(self)

    def made_as(self, relation: str) -> list[tuple[str, ...]]:
        """Return the names, in their parts, under which a relation may be made before."""
        return [split_name(one) for one in self.relations if _among(relation, {one})]

    def makes(self, relation: str) -> bool:
        """Return whether a relation of this name is made before, by its first or its new name."""
        return _among(relation, self.relations)

    def touches(self, relation: str, column: str) -> bool:
        """Return whether a column is added, renamed or given another type before."""
        return (_bare(relation), column) in self.columns

    def leaves_empty(self, relation: str, column: str) -> bool:
        """Return whether a column is added before, and nothing gives it a value."""
        return (_bare(relation), column) in self.empty and not self.changes_rows(relation)

    def drops(self, relation: str, part: str = "") -> bool:
        """Return whether a relation, or a constraint or column of it, is dropped before."""
        return f"{_bare(relation)}.{part}" in self.gone if part else _among(relation, self.gone_relations)

    def changes_rows(self, relation: str) -> str:
        """Return which statement changes rows of a table before, in words; empty where none does."""
        return self.rows.get(_bare(relation), "") or self.rows.get(EVERYTHING, "")

    def has_unique(self, relation: str) -> bool:
        """Return whether something unique is built on a table before."""
        return _bare(relation) in self.unique

    def built(self, index: str) -> Tree | None:
        """Return the statement that builds an index before."""
        return self.indexes.get(index)

    def sequence(self, sequence: str) -> Tree | None:
        """Return the statement that makes a sequence before."""
        return next((tree for made, tree in self.sequences.items() if _among(sequence, {made})), None)

    def added(self, relation: str, constraint: str) -> tuple[Tree, Tree] | None:
        """Return a constraint that is added before, with the table that it is added to."""
        return self.constraints.get((_bare(relation), constraint))

    def note(self, tree: Tree, where: str) -> None:
        """Take down what a statement does; `where` names it."""
        kind = tree.DESCRIPTOR.name
        if made := creates(kind, tree):
            self.relations.add(made)
        self.parts_made = self.parts_made or kind in (
            "CreatePolicyStmt",
            "CreateStatsStmt",
            "CreateTrigStmt",
            "RenameStmt",
        )
        self.sets_path = self.sets_path or (kind == "VariableSetStmt" and tree.name.lower() == "search_path")
        self.sets_numbers = self.sets_numbers or sets_values([tree])
        self.names = self.names or kind in _MAKES_NAMES or kind in ("DoStmt", "CallStmt")
        if kind in _FREES or (kind == "DropStmt" and tree.behavior == grammar.DROP_CASCADE):
            self.frees = f"statement of {where}"
        if kind in ("ViewStmt", "CreateFunctionStmt") and tree.replace:
            self.replaced.append(tree)
        if kind in ("DoStmt", "CallStmt"):
            self.rows[EVERYTHING] = f"{'DO' if kind == 'DoStmt' else 'CALL'} of {where}"
        for node in walk(tree):
            if node.DESCRIPTOR.name in CHANGES_ROWS:
                self.rows[_bare(name(node.relation))] = f"{node.DESCRIPTOR.name[:-4].upper()} of {where}"
        match kind:
            case "TruncateStmt":
                for relation in map(inner, tree.relations):
                    self.rows[_bare(name(relation))] = f"TRUNCATE of {where}"
            case "IndexStmt":
                self.indexes[tree.idxname] = tree
                self.parts_made = self.parts_made or not tree.idxname
                if tree.unique:
                    self.unique.add(_bare(name(tree.relation)))
            case "CreateSeqStmt":
                self.relations.add(name(tree.sequence))
                self.sequences[name(tree.sequence)] = tree
            case "CreatePolicyStmt":
                self.policies.add(_bare(name(tree.table)))
            case "ViewStmt":
                self.relations.add(name(tree.view))
            case "RenameStmt" if object_words(tree.rename_type) == "TABLE" and tree.subname:
                self.columns |= {(_bare(name(tree.relation)), one) for one in (tree.subname, tree.newname)}
            case "DropStmt":
                self.dropped.append(tree)
                if tree.remove_type in _RELATIONS:
                    for node in tree.objects:
                        parts = [quote_name(item.string.sval) for item in node.list.items]
                        self.gone_relations.add(".".join(parts))
            case "AlterTableStmt":
                for command in commands(tree):
                    self.note_command(name(tree.relation), tree.relation, command)

    def note_command(self, table: str, relation: Tree, command: Tree) -> None:
        """Take down what one command of an ALTER TABLE does."""
        made = getattr(command, "def")
        bare = _bare(table)
        if command.subtype in _FREES_AS_COMMAND or command.behavior == grammar.DROP_CASCADE:
            self.frees = f"ALTER TABLE {table} before"
        match command.subtype:
            case grammar.AT_AddColumn:
                self.columns.add((bare, made.column_def.colname))
                self.parts_made = self.parts_made or bool(made.column_def.constraints)
                if default_of(made.column_def) is None and not is_serial(made.column_def):
                    self.empty.add((bare, made.column_def.colname))
            case grammar.AT_AlterColumnType:
                self.columns.add((bare, command.name))
                self.empty.discard((bare, command.name))
                self.parts.append(("table column", (*split_name(table), command.name)))
            case grammar.AT_ColumnDefault:
                self.parts.append(("default value", (*split_name(table), command.name)))
            case grammar.AT_DropColumn | grammar.AT_DropConstraint:
                self.gone.add(f"{bare}.{command.name}")
                type_ = "table column" if command.subtype == grammar.AT_DropColumn else "table constraint"
                self.parts.append((type_, (*split_name(table), command.name)))
            case grammar.AT_AttachPartition | grammar.AT_DetachPartition:
                self.rows[bare] = "change of partitions before"
            case grammar.AT_AddConstraint:
                constraint = made.constraint
                self.parts_made = self.parts_made or not constraint.conname
                self.constraints[bare, constraint.conname] = (constraint, relation)
                if constraint.contype in (grammar.CONSTR_UNIQUE, grammar.CONSTR_PRIMARY):
                    self.unique.add(bare)


def sets_values(trees: Iterable[Tree]) -> bool:
    """Return whether one of the statements sets the next number of a sequence itself."""
    for tree in trees:
        if tree.DESCRIPTOR.name == "AlterSeqStmt" and any(
            node.def_elem.defname == "restart" for node in tree.options
        ):
            return True
        for node in walk(tree):
            if node.DESCRIPTOR.name == "FuncCall" and node.funcname[-1].string.sval == "setval":
                return True
    return False


def commands(tree: Tree) -> list[Tree]:
    """Return the commands of an ALTER TABLE in the order in which the server takes them."""
    return sorted((inner(one) for one in tree.cmds), key=_place)


def _place(command: Tree) -> int:
    made = getattr(command, "def").constraint
    if command.subtype == grammar.AT_AddConstraint and made.contype == grammar.CONSTR_FOREIGN:
        return 4
    return 5 if command.subtype == grammar.AT_ValidateConstraint else _PASS.get(command.subtype, 3)


def default_of(column: Tree) -> Tree | None:
    """Return the constraint that gives a new column its values, or None where it begins as NULL."""
    for one in (node.constraint for node in column.constraints):
        if one.contype in (grammar.CONSTR_IDENTITY, grammar.CONSTR_GENERATED):
            return one
        if one.contype == grammar.CONSTR_DEFAULT and not one.raw_expr.a_const.isnull:
            return one
    return None


def is_serial(column: Tree) -> bool:
    """Return whether a new column is numbered by its type."""
    return bool(column.type_name.names[-1].string.sval.lower().rstrip("248").endswith("serial"))


def _among(relation: str, names: set[str]) -> bool:
    """Return whether a name is one of these; where one of two has no schema, the last part decides."""
    own = split_name(relation)
    return any(own[-len(one) :] == one[-len(own) :] for one in map(split_name, names))


def _bare(relation: str) -> str:
    return quote_name(split_name(relation)[-1])
