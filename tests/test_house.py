"""The house rules: which way imports point, how files are named, and what no file may say."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "lib" / "pgrunbook"

pytestmark = pytest.mark.static

# A module may import from the rows above its own. A name stands for a module or for a whole package.
LAYERS = (
    ("masking", "tally", "vocabulary"),
    ("errors", "detail", "legible"),
    ("checklist", "evidence"),
    ("lockmode", "target", "queries", "server", "journal", "history", "kernel"),
    ("naming", "folder", "places", "printing", "identity", "loading", "window", "spec", "made", "versions"),
    ("seal", "signature"),
    ("session", "spelling"),
    ("header", "pace", "clone", "stage"),
    ("timing", "looking", "rowhold", "chain", "archive", "board", "race", "racer", "refusal"),
    ("continuity", "interleaving"),
    (
        "statement",
        "catalog",
        "relation",
        "shape",
        "uniquekey",
        "ledger",
        "patience",
        "observers",
        "traffic",
        "hold",
        "pooler",
    ),
    ("outcome", "dossier"),
    ("account",),
    ("script", "whereabouts", "shelf", "comparison"),
    ("change", "spells", "sending", "concurrent", "quarantine", "merging", "monitoring", "pending"),
    ("obstacles", "definition", "restoring", "scratch"),
    ("footprint",),
    ("jsonnull",),
    ("surroundings",),
    ("forecast", "counting"),
    ("derived",),
    ("strategies",),
    ("duplicates",),
    ("batch",),
    ("contracts",),
    ("preflight", "explain", "remedy", "standing", "gate", "samples", "job"),
    ("rehearsal", "failure", "undoing"),
    ("events", "proof"),
    ("outside",),
    ("step",),
    ("binding",),
    ("performance",),
    ("apply", "repair", "signalling", "audits", "prospect", "ticking"),
    ("deciding",),
    ("rollback", "violation"),
    ("run",),
    ("bearings",),
    ("views",),
    ("reach",),
    (
        "record",
        "start",
        "scaffold",
        "telling",
        "notebook",
        "suite",
        "headless",
        "conduct",
        "news",
        "reading",
        "several",
        "briefing",
        "lookout",
    ),
    ("inspection",),
    ("matching",),
    (
        "workbench",
        "question",
        "live",
        "blocking",
        "duplication",
        "contracting",
        "laboratory",
        "proving",
        "tick",
    ),
    ("checkoff", "records", "approving"),
    ("reviewing",),
    ("papers", "repairing"),
    ("runbook", "commands"),
    ("cli", "__init__"),
    ("__main__",),
)
ROW = {name: row for row, names in enumerate(LAYERS) for name in names}
DRIVERS = {"psycopg", "sqlalchemy", "psutil", "asyncpg"}
# The one list of every text that a person reads on failure: in two files it would be no list.
LONG_ON_PURPOSE = {"errors"}
# They only hand on to a module that has its own test.
WITHOUT_TEST = {"__init__", "__main__"}
VAGUE = {"utils", "util", "helpers", "helper", "common", "base", "misc"}

Imports = Mapping[str, set[str]]


def name_of(file: Path) -> str:
    """Return a module's name below pgrunbook: views.charts, observers, __main__."""
    parts = file.relative_to(LIBRARY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def imports_of(text: str, *, known: set[str], file: str = "made up") -> set[str]:
    """Return what a module imports: our own modules by their short name, others by their first name."""
    found = set()
    for node in ast.walk(ast.parse(text, file)):
        if isinstance(node, ast.Import):
            found |= {alias.name.removeprefix("pgrunbook.") for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide which way they point"
            module = node.module or ""
            if module.split(".")[0] != "pgrunbook":
                found.add(module)
                continue
            inner = module.removeprefix("pgrunbook").removeprefix(".")
            for alias in node.names:
                full = f"{inner}.{alias.name}".removeprefix(".")
                found.add(full if full in known else inner or "__init__")
    return {name if name in known else name.split(".")[0] for name in found}


def modules() -> dict[str, Path]:
    return {name_of(file): file for file in sorted(LIBRARY.rglob("*.py"))}


def imports() -> Imports:
    known = modules()
    return {
        name: imports_of(file.read_text(), known=set(known), file=str(file)) for name, file in known.items()
    }


def wrong_way(found: Imports) -> Iterator[str]:
    """Yield every import that points the wrong way and every module that nobody has given a place."""
    for name, imported in found.items():
        package = name.split(".")[0]
        if package == "workloads":
            continue
        if package not in ROW:
            yield f"{name} is new: add it to the table LAYERS in this file"
            continue
        for other in sorted(imported & found.keys()):
            below = other.split(".")[0]
            if below == "workloads":
                yield f"{name} imports {other}: the engine knows no workload"
            elif below in ROW and below != package and ROW[below] >= ROW[package]:
                yield f"{name} imports {other}: imports point from later rows to earlier ones"
        if package == "views" and imported & DRIVERS:
            yield f"{name} imports {', '.join(sorted(imported & DRIVERS))}: views touch no database"


def circles(found: Imports) -> Iterator[str]:
    """Yield the modules that import themselves by way of others."""
    for name in found:
        seen: set[str] = set()
        waiting = list(found[name] & found.keys())
        while waiting:
            other = waiting.pop()
            if other == name:
                yield name
                break
            if other not in seen:
                seen.add(other)
                waiting += found[other] & found.keys()


def test_imports_point_one_way() -> None:
    assert "\n".join(wrong_way(imports())) == ""


def test_no_module_imports_itself_by_way_of_others() -> None:
    assert list(circles(imports())) == []


def test_the_rule_finds_what_breaks_it() -> None:
    texts = {
        "errors": "from pgrunbook.step import Step",
        "step": "from pgrunbook import errors, workloads\nfrom pgrunbook.workloads import codes",
        "views.charts": "import psycopg.rows\nfrom pgrunbook import views",
        "views": "from pgrunbook.views.charts import Chart",
        "brand_new": "",
        "workloads": "",
        "workloads.codes": "",
    }
    made_up = {name: imports_of(text, known=set(texts)) for name, text in texts.items()}
    assert list(wrong_way(made_up)) == [
        "errors imports step: imports point from later rows to earlier ones",
        "step imports workloads: the engine knows no workload",
        "step imports workloads.codes: the engine knows no workload",
        "views.charts imports psycopg: views touch no database",
        "brand_new is new: add it to the table LAYERS in this file",
    ]
    assert list(circles(made_up)) == ["errors", "step", "views.charts", "views"]


def test_each_name_in_the_table_is_there_once_and_is_a_module() -> None:
    assert len(ROW) == sum(len(row) for row in LAYERS)
    assert ROW.keys() - {name.split(".")[0] for name in modules()} == set()


def test_no_module_has_a_vague_name() -> None:
    assert [name for name in modules() if VAGUE & set(name.split("."))] == []


def test_every_module_opens_with_one_line_that_names_it() -> None:
    missing = []
    for name, file in modules().items():
        docstring = ast.get_docstring(ast.parse(file.read_text()))
        first = docstring.splitlines()[0] if docstring else ""
        if not first.endswith("."):
            missing.append(f"{name}: {first!r}")
    assert missing == []


def test_no_module_is_longer_than_300_lines() -> None:
    lengths = {name: len(file.read_text().splitlines()) for name, file in modules().items()}
    assert {
        name: lines for name, lines in lengths.items() if lines > 300 and name not in LONG_ON_PURPOSE
    } == {}


def test_every_module_has_its_test() -> None:
    wanted = {
        f"test_{name.replace('.', '_')}.py"
        for name, file in modules().items()
        if name not in WITHOUT_TEST and not (file.name == "__init__.py" and not _defines_anything(file))
    }
    there = {file.name for file in (ROOT / "tests").rglob("test_*.py")}
    assert sorted(wanted - there) == []


def _defines_anything(file: Path) -> bool:
    return any(
        isinstance(node, ast.FunctionDef | ast.ClassDef) for node in ast.walk(ast.parse(file.read_text()))
    )


def files() -> list[Path]:
    """Return the files that are in git or would be, this one excepted: it has to spell what it looks for."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout")
    paths = [ROOT / name for name in listed.stdout.split("\0") if name]
    return [path for path in paths if path.is_file() and path != Path(__file__).resolve()]


PRIVATE = re.compile(
    r"(?<![\w.])/(?:work|root|home|Users|tmp/w|opt/pypi|opt/wheels)/\w+"
    r"|pypi\.org|pythonhosted\.org|registry\.npmjs|proxy\.golang|(?:PIP|UV)_(?:EXTRA_)?INDEX_URL"
)


def private_words(text: str) -> list[str]:
    return sorted({found.group() for found in PRIVATE.finditer(text)})


def test_no_file_names_a_machine_or_a_registry() -> None:
    found = {}
    for path in files():
        text = path.read_bytes().decode("utf-8", errors="ignore")
        if words := private_words(text):
            found[str(path.relative_to(ROOT))] = words
    assert found == {}


def test_the_search_for_machine_paths_finds_one() -> None:
    assert private_words("see /home/someone/notes and ./home/page") == ["/home/someone"]
    assert private_words("https://pypi.org/simple") == ["pypi.org"]


def test_sql_is_utf_8_with_unix_line_ends() -> None:
    broken = []
    for path in files():
        if path.suffix in (".sql", ".spec"):
            content = path.read_bytes()
            content.decode("utf-8")
            if b"\r" in content or not content.endswith(b"\n") or content.startswith(b"\xef\xbb\xbf"):
                broken.append(str(path.relative_to(ROOT)))
    assert broken == []
