"""The header of an SQL file: what is read, and that nothing is ever ignored or guessed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pgrunbook.errors import BadHeader
from pgrunbook.header import Estimate, Expectation, Header, Kind, LockClaim, Severity, parse
from pgrunbook.lockmode import LockMode

pytestmark = pytest.mark.static


def refusal(text: str, kind: Kind = Kind.MIGRATE) -> str:
    with pytest.raises(BadHeader) as caught:
        parse(text, kind=kind, file="001_x.sql")
    return str(caught.value)


def read(lines: str, kind: Kind = Kind.MIGRATE) -> Header:
    return parse(f"-- Title\n{lines}\n\nSELECT 1;\n", kind=kind, file="001_x.sql")


MIGRATE_KEYS = (
    "  next: use one of the keys lock, transaction, hold_budget, stall_budget, estimate, requires; "
)


def test_a_full_migrate_header_is_read() -> None:
    header = parse(
        "-- Add the unique index\n"
        "-- lock: ShareUpdateExclusive on classes; ACCESS EXCLUSIVE on app.users\n"
        "-- transaction: none\n"
        "-- hold_budget: 50 ms\n"
        "-- stall_budget: 2 s\n"
        "-- estimate: 2.5 reads of classes + 1 read of app.users + 1.5 s; reads go on;\n"
        "--   so do writes\n"
        "-- requires: 010_class_code, 020_class_code_generator\n"
        "\n"
        "-- an ordinary comment: not a key\n"
        "CREATE INDEX CONCURRENTLY i ON classes (class_code);\n",
        kind=Kind.MIGRATE,
        file="001_x.sql",
    )
    assert header == Header(
        title="Add the unique index",
        in_transaction=False,
        locks=(
            LockClaim(LockMode.SHARE_UPDATE_EXCLUSIVE, "classes"),
            LockClaim(LockMode.ACCESS_EXCLUSIVE, "app.users"),
        ),
        hold_budget_ms=50,
        stall_budget_ms=2000,
        estimate=Estimate(1500.0, ((2.5, "classes"), (1.0, "app.users")), "reads go on; so do writes"),
        requires=("010_class_code", "020_class_code_generator"),
    )


def test_a_check_says_effect_remedy_and_severity() -> None:
    header = read(
        "-- effect: the index fails\n-- remedy: repair: then again\n-- severity: warn", Kind.PREFLIGHT
    )
    assert (header.effect, header.remedy) == ("the index fails", "repair: then again")
    assert header.severity is Severity.WARN


@pytest.mark.parametrize("step", ["006", "001a", "006_build_index"])
def test_a_check_may_name_the_first_step_that_it_stops(step: str) -> None:
    assert read(f"-- before: {step}", Kind.PREFLIGHT).before == step
    assert read("-- effect: none", Kind.PREFLIGHT).before == ""


@pytest.mark.parametrize("step", ["6", "006_", "step 006", "006, 007", "006_Build"])
def test_a_step_that_is_no_step_is_refused(step: str) -> None:
    with pytest.raises(BadHeader, match="is not the number or name of a step"):
        read(f"-- before: {step}", Kind.PREFLIGHT)


def test_a_remedy_may_have_a_stall_budget_of_its_own() -> None:
    assert read("-- stall_budget: 2 s", Kind.REMEDY).stall_budget_ms == 2000


def test_what_a_header_leaves_out_has_safe_defaults() -> None:
    assert read("-- lock: none") == Header(title="Title")
    assert Header(title="Title").severity is Severity.STOP


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("index class_code_unique; median < 1 ms; rows 1", Expectation("class_code_unique", 1.0, 1)),
        ("median < 0.5 s", Expectation(None, 500.0, None)),
        ("rows 0", Expectation(None, None, 0)),
        ('index app."Odd"', Expectation('app."Odd"', None, None)),
    ],
)
def test_an_expectation_has_any_of_its_three_parts(value: str, expected: Expectation) -> None:
    assert read(f"-- expect: {value}", Kind.TIMING).expect == expected


def test_windows_line_ends_are_read_like_others() -> None:
    header = parse("-- Title\r\n-- lock: none\r\n\r\nSELECT 1;\r\n", kind=Kind.MIGRATE, file="x")
    assert header == Header(title="Title")


def test_a_title_may_hold_a_colon_and_any_language() -> None:
    assert parse("-- Klassencodes: größer", kind=Kind.VERIFY, file="x").title == "Klassencodes: größer"


def test_an_unknown_key_is_refused_with_the_whole_message() -> None:
    assert refusal("-- Title\n-- lock: none\n-- locks: none\n") == (
        "001_x.sql line 3: unknown key `locks` for a migrate file\n" + MIGRATE_KEYS + "nothing was run"
    )


def test_a_key_of_another_kind_of_file_is_refused() -> None:
    assert refusal("-- Title\n-- lock: none\n", Kind.VERIFY) == (
        "001_x.sql line 2: unknown key `lock` for a verify file\n"
        "  next: use one of the keys effect, remedy; nothing was run"
    )


LOCK_PART = "is neither `none` nor `AccessExclusive on classes`"
EXPECT_PART = "is none of `index NAME`, `median < N ms`, `rows N`"


@pytest.mark.parametrize(
    ("kind", "line", "found"),
    [
        (Kind.PREFLIGHT, "severity: fatal", "bad value for `severity`: 'fatal' is neither `stop` nor `warn`"),
        (
            Kind.REMEDY,
            "transaction: yes",
            "bad value for `transaction`: 'yes' is not `none`; leave the key out to run in a transaction",
        ),
        (Kind.VERIFY, "effect:", "bad value for `effect`: it is empty"),
        (Kind.MIGRATE, "lock: AccessExclusive", f"bad value for `lock`: 'AccessExclusive' {LOCK_PART}"),
        (Kind.MIGRATE, "lock: Share on a;", f"bad value for `lock`: '' {LOCK_PART}"),
        (Kind.MIGRATE, "lock: none; Share on a", f"bad value for `lock`: 'none' {LOCK_PART}"),
        (
            Kind.MIGRATE,
            "lock: Share on a; Exclusive on a",
            "bad value for `lock`: a stands twice; claim the strongest lock only",
        ),
        (
            Kind.MIGRATE,
            "lock: Share on a b",
            "bad value for `lock`: 'a b' is not a name such as `classes` or `app.classes`",
        ),
        (
            Kind.MIGRATE,
            "lock: Share on Classes",
            "bad value for `lock`: 'Classes' is not spelt as PostgreSQL stores it;"
            " use lower case, or quote it",
        ),
        (
            Kind.MIGRATE,
            "lock: Total on a",
            "bad value for `lock`: unknown lock mode 'Total'; known: AccessShare, RowShare, RowExclusive, "
            "ShareUpdateExclusive, Share, ShareRowExclusive, Exclusive, AccessExclusive",
        ),
        (Kind.TIMING, "expect: fast", f"bad value for `expect`: 'fast' {EXPECT_PART}"),
        (Kind.TIMING, "expect: rows 1;", f"bad value for `expect`: '' {EXPECT_PART}"),
        (Kind.TIMING, "expect: rows 1; rows 2", "bad value for `expect`: `rows` stands twice"),
        (Kind.TIMING, "expect: rows many", "bad value for `expect`: `rows many` is not `rows 1`"),
        (Kind.TIMING, "expect: median 1 ms", "bad value for `expect`: `median 1 ms` is not `median < 1 ms`"),
        (
            Kind.TIMING,
            "expect: median < 0 ms",
            "bad value for `expect`: `median < 0 ms` is not `median < 1 ms`",
        ),
        (
            Kind.TIMING,
            "expect: index a;b c",
            f"bad value for `expect`: 'b' {EXPECT_PART}",
        ),
    ],
)
def test_a_bad_value_is_refused_with_what_would_be_good(kind: Kind, line: str, found: str) -> None:
    assert refusal(f"-- Title\n-- {line}\n", kind) == (
        f"001_x.sql line 2: {found}\n  next: use one of the keys {', '.join(kind.keys)}; nothing was run"
    )


ESTIMATE_PART = (
    "is neither a time such as `2 ms`, `1.5 s` or `3 min`, nor `2 reads of classes`;"
    " join several with ` + ` and put words after `;`"
)


@pytest.mark.parametrize(
    ("value", "estimate"),
    [
        ("2 ms", Estimate(2.0)),
        ("1.5 s; nobody waits", Estimate(1500.0, (), "nobody waits")),
        ("3 min", Estimate(180_000.0)),
        ("1 read of classes", Estimate(0.0, ((1.0, "classes"),))),
        ('0.5 reads of "odd; + name" + 1 s + 1 s', Estimate(2000.0, ((0.5, '"odd; + name"'),))),
    ],
)
@pytest.mark.parametrize("kind", [Kind.MIGRATE, Kind.ROLLBACK])
def test_an_estimate_is_a_time_or_reads_of_tables(kind: Kind, value: str, estimate: Estimate) -> None:
    assert read(f"-- lock: none\n-- estimate: {value}", kind).estimate == estimate


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("one read of classes, about 2 s", "one read of classes, about 2 s"),
        ("1 to 2 ms, whatever the size", "1 to 2 ms, whatever the size"),
        ("0 ms", "0 ms"),
        ("0.0 reads of classes", "0.0 reads of classes"),
        ("2 ms + soon", "soon"),
        ("2 ms+1 s", "2 ms+1 s"),
        ("; quick", ""),
        ("\u0665 ms", "\u0665 ms"),
    ],
)
def test_an_estimate_in_free_words_is_refused_with_the_grammar(value: str, part: str) -> None:
    assert refusal(f"-- Title\n-- lock: none\n-- estimate: {value}\n").splitlines()[0] == (
        f"001_x.sql line 3: bad value for `estimate`: {part!r} {ESTIMATE_PART}"
    )


@pytest.mark.parametrize("budget", ["0 ms", "50", "1.5 s", "-1 s", "1 min", "1000000 s", "\u0665 ms"])
def test_a_budget_is_a_whole_time_and_never_zero(budget: str) -> None:
    assert refusal(f"-- Title\n-- lock: none\n-- hold_budget: {budget}\n").splitlines()[0] == (
        f"001_x.sql line 3: bad value for `hold_budget`: {budget!r} is not a whole time"
        " such as `50 ms` or `2 s`, from 1 to 999999"
    )


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("", 1, "expected the title, `-- What this file does`, found an empty line"),
        ("SELECT 1;", 1, "expected the title, `-- What this file does`, found 'SELECT 1;'"),
        ("--Title", 1, "expected the title, `-- What this file does`, found '--Title'"),
        ("-- lock: none", 1, "expected the title, `-- What this file does`, found '-- lock: none'"),
        ("\ufeff-- T", 1, "expected the title, `-- What this file does`, found '\\ufeff-- T'"),
        ("-- T\n--   more", 2, "'--   more' continues a value, but there is none above it"),
        (
            "-- T\n-- estimate: 1 s\n--   lock: none",
            3,
            "'--   lock: none' continues `estimate`; a key has exactly one blank after `--`",
        ),
        ("-- T\n-- lock: none\n-- lock: none", 3, "key `lock` stands twice, first on line 2"),
        ("-- T\n-- prose", 2, "'-- prose' is not `-- key: value` (an empty line ends the header)"),
        ("-- T\n--", 2, "'--' is not `-- key: value` (an empty line ends the header)"),
        ("-- T\n--lock: none", 2, "'--lock: none' is not `-- key: value` (an empty line ends the header)"),
        ("-- T\n-- Lock: none", 2, "unknown key `Lock` for a migrate file"),
        (
            "-- T\n\nSELECT 1;",
            1,
            "the key `lock` is missing; say `-- lock: none` or `-- lock: AccessExclusive on classes`",
        ),
        (
            "-- T\n-- lock: none\n\n-- transaction: none\nSELECT 1;",
            4,
            "key `transaction` stands after the header, which ended on line 2",
        ),
        (
            "-- T\n-- lock: none\nSELECT 1;\n--EFFECT : x",
            4,
            "key `EFFECT` stands after the header, which ended on line 2",
        ),
        (
            "-- T\n-- lock: none\r\rSELECT 1; -- lock: x\r-- lock: x",
            5,
            "key `lock` stands after the header, which ended on line 2",
        ),
    ],
)
def test_a_header_that_would_be_misread_is_refused(text: str, line: int, found: str) -> None:
    assert refusal(text) == f"001_x.sql line {line}: {found}\n" + MIGRATE_KEYS + "nothing was run"


def test_a_required_change_is_named_in_full() -> None:
    assert refusal("-- T\n-- lock: none\n-- requires: 010_a, class_code").splitlines()[0] == (
        "001_x.sql line 3: bad value for `requires`: 'class_code' is not the name of a change,"
        " e.g. `010_class_code`"
    )


def test_a_long_line_is_cut_in_the_message() -> None:
    assert refusal("x" * 500).splitlines()[0].endswith(f"found {'x' * 57 + '...'!r}")


@given(
    st.text(st.sampled_from('-- \n\r:;<."\0abckeylon0159s') | st.characters())
    | st.lists(
        st.sampled_from(
            [
                "-- T",
                "-- lock:",
                "-- lock: none",
                "--   on",
                " ",
                "-- expect: rows",
                "index",
                "; median < 1 s",
            ]
        )
    ).map("\n".join),
    st.sampled_from(Kind),
)
def test_any_text_is_either_read_or_refused(text: str, kind: Kind) -> None:
    try:
        assert parse(text, kind=kind, file="x.sql").title
    except BadHeader as error:
        refused = error
    else:
        return
    assert 1 <= refused.line <= len(text) + 1
    assert refused.allowed == kind.keys


@given(
    st.dictionaries(
        st.from_regex(r"[a-z_][a-z0-9_]{0,20}(\.[a-z_][a-z0-9_]{0,20})?", fullmatch=True),
        st.sampled_from(LockMode),
        min_size=1,
    )
)
def test_lock_claims_read_back_as_they_were_written(modes: dict[str, LockMode]) -> None:
    claims = tuple(LockClaim(mode, table) for table, mode in modes.items())
    assert read(f"-- lock: {'; '.join(map(str, claims))}").locks == claims
