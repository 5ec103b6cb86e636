-- Table classes is not the one this change was written for
-- effect: A step would fail half-way, or the other checks cannot read the table.
-- remedy: Bind to the right database and search_path, or adapt the change to the table.

WITH shape AS (
    SELECT
        t.oid,
        t.relkind,
        t.relnamespace,
        a.attnum,
        a.atttypid,
        format_type(a.atttypid, a.atttypmod) AS type_name,
        a.atttypmod - 4 AS longest,
        a.attgenerated <> '' AS is_generated,
        (
            SELECT string_agg(wanted.name, ', ' ORDER BY wanted.position)
            FROM (VALUES (1, 'class_id'), (2, 'client_id'), (3, 'class_type'), (4, 'class_subject')) AS wanted (position, name)
            WHERE NOT EXISTS (
                SELECT
                FROM pg_attribute AS there
                WHERE there.attrelid = t.oid AND there.attname = wanted.name AND NOT there.attisdropped
            )
        ) AS columns_missing,
        EXISTS (
            SELECT
            FROM pg_index AS i
            JOIN pg_attribute AS k ON k.attrelid = i.indrelid AND k.attnum = i.indkey[0]
            WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1
              AND i.indpred IS NULL AND k.attname = 'class_id' AND k.attnotnull
        ) AS has_key
    FROM (VALUES (to_regclass('classes'))) AS wanted (oid)
    LEFT JOIN pg_class AS t ON t.oid = wanted.oid
    LEFT JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attname = 'class_code' AND NOT a.attisdropped
)
SELECT
    fact.subject AS subject,
    fact.expected AS expected,
    fact.found AS found
FROM shape
CROSS JOIN LATERAL (
    VALUES
        (1, oid IS NULL, 'classes', 'a table on the search_path', 'missing'),
        (
            2,
            relkind <> 'r',
            'classes',
            'an ordinary table',
            CASE relkind
                WHEN 'p' THEN 'a partitioned table'
                WHEN 'v' THEN 'a view'
                WHEN 'm' THEN 'a materialized view'
                WHEN 'f' THEN 'a foreign table'
                ELSE 'something else'
            END
        ),
        (
            3,
            oid IS NOT NULL AND relnamespace IS DISTINCT FROM to_regnamespace(quote_ident(current_schema())),
            'schema of classes',
            coalesce(current_schema(), 'none') || ' (where new objects are created)',
            relnamespace::regnamespace::text
        ),
        (4, oid IS NOT NULL AND attnum IS NULL, 'classes.class_code', 'a column', 'missing'),
        (
            5,
            atttypid NOT IN ('varchar'::regtype, 'text'::regtype),
            'classes.class_code',
            'character varying(50) or text',
            type_name
        ),
        (
            6,
            atttypid = 'varchar'::regtype AND longest BETWEEN 1 AND 49,
            'classes.class_code',
            'room for 50 characters',
            type_name
        ),
        (7, relkind = 'r' AND NOT has_key, 'classes.class_id', 'unique, not null', 'no such key'),
        (8, is_generated, 'classes.class_code', 'a column that can be written', 'a generated column'),
        (
            9,
            relkind = 'r' AND columns_missing IS NOT NULL,
            'classes',
            'the columns client_id, class_type, class_subject',
            'no ' || columns_missing
        ),
        (
            10,
            relkind = 'r' AND row_security_active(oid),
            'classes',
            'every row can be seen by ' || current_user,
            'row security hides rows'
        )
) AS fact (position, present, subject, expected, found)
WHERE fact.present
ORDER BY fact.position;
