-- Another class_code_seq is in the way
-- effect: CREATE SEQUENCE IF NOT EXISTS would keep it as it is, and codes would be numbered by its rules.
-- remedy: Find out who uses it, then rename or drop it; do not take it over blindly.

WITH existing AS (
    SELECT
        c.oid,
        c.relkind,
        c.relowner,
        t.relowner AS table_owner,
        s.*,
        owner.table_oid,
        owner.column_name,
        t.oid AS classes_oid
    FROM pg_class AS t
    JOIN pg_class AS c ON c.relnamespace = t.relnamespace AND c.relname = 'class_code_seq'
    LEFT JOIN pg_sequence AS s ON s.seqrelid = c.oid
    LEFT JOIN LATERAL (
        SELECT d.refobjid AS table_oid, r.relname || '.' || a.attname AS column_name
        FROM pg_depend AS d
        JOIN pg_class AS r ON r.oid = d.refobjid
        JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_class'::regclass
          AND d.objid = c.oid
          AND d.refclassid = 'pg_class'::regclass
          AND d.deptype IN ('a', 'i')
    ) AS owner ON true
    WHERE t.oid = to_regclass('classes')
)
SELECT
    fact.setting AS setting,
    fact.expected AS expected,
    fact.found AS found
FROM existing
CROSS JOIN LATERAL (
    VALUES
        (1, 'class_code_seq', 'a sequence', CASE relkind WHEN 'S' THEN 'a sequence' ELSE 'another relation' END),
        (2, 'data type', 'bigint', seqtypid::regtype::text),
        (3, 'start', '1001', seqstart::text),
        (4, 'increment', '1', seqincrement::text),
        (5, 'minimum', '1', seqmin::text),
        (6, 'maximum', '9223372036854775807', seqmax::text),
        (7, 'cache', '1', seqcache::text),
        (8, 'cycle', 'false', seqcycle::text),
        (9, 'owned by', 'classes.class_code', coalesce(column_name, 'classes.class_code')),
        (10, 'role that owns it', table_owner::regrole::text, relowner::regrole::text)
) AS fact (position, setting, expected, found)
WHERE fact.found IS DISTINCT FROM fact.expected
  AND (fact.position = 1 OR relkind = 'S')
ORDER BY fact.position;
