-- Other objects have the names of this change
-- effect: A step would fail, or take for its own what counts by other rules; a function would be replaced unseen.
-- remedy: Find out who uses them, then rename or drop them; do not take them over blindly.

WITH home AS (
    SELECT t.oid, t.relowner, t.relnamespace, quote_ident(n.nspname) AS schema
    FROM pg_class AS t
    JOIN pg_namespace AS n ON n.oid = t.relnamespace
    WHERE t.oid = to_regclass('classes')
), counters AS (
    SELECT
        c.*,
        home.relowner AS table_owner,
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
    FROM home
    JOIN pg_class AS c ON c.relnamespace = home.relnamespace AND c.relname = 'class_code_counters'
), expected_function (name, arguments, returns, body) AS (
    VALUES
        ('class_code_prefix', 'text, text, text', 'text', 'ea537e355d6c7003e6f12a119356541c'),
        ('guard_class_code', '', 'trigger', '13679296aeb726b0e8d2d900c7266802'),
        ('next_class_code', 'text, text, text', 'text', '6ce5b87e4294fdae2bb4fd8ab2ec4df4'),
        ('next_class_codes', 'text, text, text, integer', 'SETOF text', '4bbb615b43dc240ae89c28267751fdb4')
), function AS (
    SELECT
        wanted.*,
        p.oid::regprocedure::text AS called,
        coalesce(
            (
                SELECT string_agg(format_type(argument.type, NULL), ', ' ORDER BY argument.position)
                FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY AS argument (type, position)
            ),
            ''
        ) AS found_arguments,
        pg_get_function_result(p.oid) AS found_returns,
        md5(p.prosrc) AS found_body,
        home.relowner AS table_owner,
        p.proowner
    FROM expected_function AS wanted
    CROSS JOIN home
    JOIN pg_proc AS p ON p.pronamespace = home.relnamespace AND p.proname = wanted.name
)
SELECT
    fact.object AS object,
    fact.expected AS expected,
    fact.found AS found
FROM (
    SELECT 1 AS position, 'class_code_counters' AS object, shape.expected, shape.found
    FROM counters
    CROSS JOIN LATERAL (
        VALUES
            ('a table', CASE relkind WHEN 'r' THEN 'a table' ELSE 'another relation' END),
            ('prefix text COLLATE "C" NOT NULL, last_number bigint NOT NULL', columns),
            ('PRIMARY KEY (prefix), CHECK ((last_number >= 0))', rules),
            ('{fillfactor=50}', reloptions::text),
            ('kept in WAL', CASE relpersistence WHEN 'p' THEN 'kept in WAL' ELSE 'not kept in WAL' END),
            ('owned by ' || table_owner::regrole, 'owned by ' || relowner::regrole)
    ) AS shape (expected, found)
    UNION ALL
    SELECT 2, called, shape.expected, shape.found
    FROM function
    CROSS JOIN LATERAL (
        VALUES
            ('(' || arguments || ') returns ' || returns, '(' || found_arguments || ') returns ' || coalesce(found_returns, 'nothing')),
            (
                'the body of this change',
                CASE WHEN found_arguments <> arguments OR found_body = body THEN 'the body of this change' ELSE 'another body' END
            ),
            ('owned by ' || table_owner::regrole, 'owned by ' || proowner::regrole)
    ) AS shape (expected, found)
    UNION ALL
    SELECT
        3,
        'trigger class_code_guard',
        'BEFORE INSERT OR UPDATE OF class_code, each row, guard_class_code()',
        pg_get_triggerdef(g.oid)
    FROM home
    JOIN pg_trigger AS g ON g.tgrelid = home.oid AND g.tgname = 'class_code_guard'
    LEFT JOIN pg_attribute AS a ON a.attrelid = g.tgrelid AND a.attnum = g.tgattr[0]
    WHERE g.tgtype <> 23
       OR a.attname IS DISTINCT FROM 'class_code'
       OR g.tgattr[1] IS NOT NULL
       OR g.tgqual IS NOT NULL
       OR g.tgfoid IS DISTINCT FROM to_regprocedure(home.schema || '.guard_class_code()')
) AS fact (position, object, expected, found)
WHERE fact.found IS DISTINCT FROM fact.expected
ORDER BY fact.position, fact.object, fact.expected;
