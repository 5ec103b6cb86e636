-- The table of counters is there, as declared
-- effect: Nothing can count the codes of a prefix, or counts them wrongly.
-- remedy: Run migrate/001_create_class_code_counters.sql again; rename or drop another table of that name first.

WITH counters AS (
    SELECT
        c.oid,
        c.relkind,
        c.relpersistence,
        c.relowner,
        c.reloptions,
        t.relowner AS table_owner,
        (
            SELECT string_agg(
                concat_ws(
                    ' ',
                    a.attname,
                    format_type(a.atttypid, a.atttypmod),
                    'COLLATE ' || CASE WHEN a.attcollation <> 0 THEN a.attcollation::regcollation::text END,
                    CASE WHEN a.attnotnull THEN 'NOT NULL' END
                ),
                ', ' ORDER BY a.attnum
            )
            FROM pg_attribute AS a
            WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        ) AS columns,
        (
            SELECT string_agg(pg_get_constraintdef(k.oid), ', ' ORDER BY k.contype DESC)
            FROM pg_constraint AS k
            WHERE k.conrelid = c.oid AND k.contype <> 'n'
        ) AS rules
    FROM pg_class AS t
    LEFT JOIN pg_class AS c ON c.relnamespace = t.relnamespace AND c.relname = 'class_code_counters'
    WHERE t.oid = to_regclass('classes')
)
SELECT
    fact.setting AS setting,
    fact.expected AS expected,
    fact.found AS found
FROM counters
CROSS JOIN LATERAL (
    VALUES
        (
            1,
            'class_code_counters',
            'a table',
            CASE WHEN oid IS NULL THEN 'missing' WHEN relkind = 'r' THEN 'a table' ELSE 'another relation' END
        ),
        (2, 'columns', 'prefix text COLLATE "C" NOT NULL, last_number bigint NOT NULL', columns),
        (3, 'rules', 'PRIMARY KEY (prefix), CHECK ((last_number >= 0))', rules),
        (4, 'options', '{fillfactor=50}', reloptions::text),
        (5, 'kept', 'in WAL', CASE relpersistence WHEN 'p' THEN 'in WAL' ELSE 'not in WAL' END),
        (6, 'role that owns it', table_owner::regrole::text, relowner::regrole::text)
) AS fact (position, setting, expected, found)
WHERE fact.found IS DISTINCT FROM fact.expected
  AND (fact.position = 1 OR relkind = 'r')
ORDER BY fact.position;
