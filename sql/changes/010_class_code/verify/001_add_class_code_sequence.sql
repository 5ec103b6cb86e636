-- The sequence is there, as declared, and ahead of every class code
-- effect: New class codes would be numbered from the wrong place, or not at all.
-- remedy: Run migrate/001_add_class_code_sequence.sql again; it only ever moves the sequence forwards.

-- Reads pg_sequences, never nextval(): looking burns no number. After TRUNCATE ... RESTART IDENTITY
-- last_value is NULL, which is reported as "reset".
WITH sequence AS (
    SELECT
        c.oid,
        s.*,
        view.last_value,
        owner.column_name
    FROM pg_class AS t
    JOIN pg_namespace AS n ON n.oid = t.relnamespace
    LEFT JOIN pg_class AS c
        ON c.relnamespace = t.relnamespace AND c.relname = 'class_code_seq' AND c.relkind = 'S'
    LEFT JOIN pg_sequence AS s ON s.seqrelid = c.oid
    LEFT JOIN pg_sequences AS view
        ON view.schemaname = n.nspname AND view.sequencename = c.relname
    LEFT JOIN LATERAL (
        SELECT r.relname || '.' || a.attname AS column_name
        FROM pg_depend AS d
        JOIN pg_class AS r ON r.oid = d.refobjid
        JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
        WHERE d.classid = 'pg_class'::regclass
          AND d.objid = c.oid
          AND d.refclassid = 'pg_class'::regclass
          AND d.deptype IN ('a', 'i')
    ) AS owner ON true
    WHERE t.oid = to_regclass('classes')
), codes AS (
    SELECT greatest(1000, max(substring(class_code FROM '^[A-Z]{3}([0-9]{4,15})$')::bigint)) AS highest
    FROM classes
)
SELECT
    fact.setting AS setting,
    fact.expected AS expected,
    fact.found AS found
FROM sequence
CROSS JOIN codes
CROSS JOIN LATERAL (
    VALUES
        (1, 'class_code_seq', 'present', CASE WHEN oid IS NULL THEN 'missing' ELSE 'present' END),
        (2, 'data type', 'bigint', seqtypid::regtype::text),
        (3, 'start', '1001', seqstart::text),
        (4, 'increment', '1', seqincrement::text),
        (5, 'minimum', '1', seqmin::text),
        (6, 'maximum', '9223372036854775807', seqmax::text),
        (7, 'cache', '1', seqcache::text),
        (8, 'cycle', 'false', seqcycle::text),
        (9, 'owned by', 'classes.class_code', coalesce(column_name, 'nothing')),
        (
            10,
            'next number',
            'above ' || highest,
            CASE
                WHEN last_value >= highest THEN 'above ' || highest
                ELSE coalesce((last_value + 1)::text, 'reset')
            END
        )
) AS fact (position, setting, expected, found)
WHERE fact.found IS DISTINCT FROM fact.expected
  AND (fact.position = 1 OR oid IS NOT NULL)
ORDER BY fact.position;
