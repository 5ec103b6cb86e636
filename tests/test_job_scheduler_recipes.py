"""The rotation of recipes: how often one was used, and when it may come back."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
import scheduler_ground as ground
from psycopg import errors
from scheduler_rows import Connection, row, use, value

template, database = ground.template, ground.database


def cooling(conn: Connection, *arguments: Any, user: int = 1, meal: str = "dinner") -> list[tuple[str, int]]:
    marks = "".join(", %s" for _ in arguments)
    query = f"SELECT * FROM get_recipes_on_cooldown(%s, %s{marks})"
    found = conn.execute(query.encode(), [user, meal, *arguments])
    return [(one["recipe_id"], one["days_since_use"]) for one in found]


def test_a_recipe_is_counted_and_its_latest_day_stays(conn: Connection) -> None:
    told = "SELECT use_count, (now() AT TIME ZONE 'UTC')::date - last_used_date AS ago FROM recipe_rotation"
    seen = []
    for ago in (10, 3, 7, 3, 0):
        use(conn, "soup", ago=ago)
        found = row(conn, told)
        seen.append((found["use_count"], found["ago"]))
    assert seen == [(1, 10), (2, 3), (3, 3), (4, 3), (5, 0)]


def test_a_recipe_is_counted_by_user_and_by_meal(conn: Connection) -> None:
    for user, meal in ((1, "lunch"), (1, "dinner"), (2, "dinner"), (1, "dinner")):
        use(conn, "soup", user=user, meal=meal)
    assert [tuple(one.values()) for one in conn.execute(
        "SELECT user_id, meal_type, use_count FROM recipe_rotation ORDER BY 1, 2"
    )] == [(1, "dinner", 2), (1, "lunch", 1), (2, "dinner", 1)]  # fmt: skip
    with pytest.raises(errors.UniqueViolation):
        conn.execute(
            "INSERT INTO recipe_rotation (user_id, recipe_id, meal_type, last_used_date)"
            " VALUES (1, 'soup', 'lunch', current_date)"
        )


@pytest.mark.parametrize("meal", ["breakfast", "lunch", "dinner", "snack"])
def test_there_are_four_meals(conn: Connection, meal: str) -> None:
    use(conn, "soup", meal=meal)
    assert cooling(conn, meal=meal) == [("soup", 0)]


@pytest.mark.parametrize(
    ("arguments", "error", "constraint"),
    [
        ("1, 'soup', 'brunch', current_date", errors.CheckViolation, "recipe_rotation_meal_type_known"),
        ("1, '', 'lunch', current_date", errors.CheckViolation, "recipe_rotation_recipe_id_length"),
        (
            "1, repeat('x', 201), 'lunch', current_date",
            errors.CheckViolation,
            "recipe_rotation_recipe_id_length",
        ),
        ("1, 'soup', 'lunch', 'infinity'", errors.CheckViolation, "recipe_rotation_last_used_date_finite"),
        ("99, 'soup', 'lunch', current_date", errors.ForeignKeyViolation, "recipe_rotation_user_id_fkey"),
        ("NULL, 'soup', 'lunch', current_date", errors.NotNullViolation, None),
        ("1, NULL, 'lunch', current_date", errors.NotNullViolation, None),
        ("1, 'soup', NULL, current_date", errors.NotNullViolation, None),
        ("1, 'soup', 'lunch', NULL", errors.NotNullViolation, None),
    ],
)
def test_a_use_that_makes_no_sense_is_refused(
    conn: Connection, arguments: str, error: type[psycopg.Error], constraint: str | None
) -> None:
    with pytest.raises(error) as caught:
        conn.execute(f"SELECT update_recipe_rotation({arguments})".encode())
    assert caught.value.diag.constraint_name == constraint


def test_nobody_used_a_recipe_less_than_once(conn: Connection) -> None:
    use(conn, "soup")
    with pytest.raises(errors.CheckViolation):
        conn.execute("UPDATE recipe_rotation SET use_count = 0")


def test_a_recipe_may_come_back_on_the_day_on_which_its_cooldown_ends(conn: Connection) -> None:
    for ago in (31, 30, 29, 1, 0):
        use(conn, f"soup_{ago}", ago=ago)
    assert cooling(conn) == [("soup_0", 0), ("soup_1", 1), ("soup_29", 29)]
    assert cooling(conn, 31) == [("soup_0", 0), ("soup_1", 1), ("soup_29", 29), ("soup_30", 30)]
    assert cooling(conn, 7) == [("soup_0", 0), ("soup_1", 1)]
    assert cooling(conn, 1) == [("soup_0", 0)]
    assert cooling(conn, 0) == []


def test_a_recipe_that_is_planned_may_not_be_planned_again(conn: Connection) -> None:
    use(conn, "soup", ago=-3)
    assert cooling(conn) == [("soup", -3)]


def test_nobody_waits_for_what_others_ate_or_ate_at_other_meals(conn: Connection) -> None:
    assert cooling(conn) == []
    use(conn, "soup", user=2)
    use(conn, "soup", meal="lunch")
    assert cooling(conn) == []
    assert cooling(conn, user=2) == [("soup", 0)]


def test_one_user_of_ten_has_75_recipes_on_cooldown_not_750(conn: Connection) -> None:
    conn.execute("INSERT INTO users (name) SELECT 'user ' || number FROM generate_series(3, 10) AS number")
    conn.execute(
        "INSERT INTO recipe_rotation (user_id, recipe_id, meal_type, last_used_date)"
        " SELECT u.id, 'recipe ' || number, meal, (now() AT TIME ZONE 'UTC')::date - ago"
        " FROM users AS u, unnest(ARRAY['lunch', 'dinner']) AS meal, generate_series(1, 150) AS number,"
        " LATERAL (SELECT CASE WHEN number <= 75 THEN number % 30 ELSE number END AS ago) AS used"
    )
    assert value(conn, "SELECT count(*) FROM recipe_rotation WHERE meal_type = 'dinner'") == 1500
    assert len(cooling(conn, user=4)) == 75


@pytest.mark.parametrize("session", ["UTC", "Pacific/Kiritimati", "Etc/GMT+12"])
def test_a_day_is_a_day_of_the_schedulers_zone(conn: Connection, session: str) -> None:
    # Between these two zones lie 26 hours: whatever the time, they do not have the same day.
    conn.execute("SELECT set_config('TimeZone', %s, false)", [session])
    east, west = "Pacific/Kiritimati", "Etc/GMT+12"
    conn.execute(
        "SELECT update_recipe_rotation(1, 'soup', 'dinner', (now() AT TIME ZONE %s)::date - 30)", [east]
    )
    ground.configure(conn, timezone=east)
    assert cooling(conn) == []
    assert cooling(conn, 31) == [("soup", 30)]
    ground.configure(conn, timezone=west)
    [(_, days)] = cooling(conn)
    assert days in (28, 29)
