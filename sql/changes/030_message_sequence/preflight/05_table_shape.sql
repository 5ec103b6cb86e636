-- The tables are not the ones this change was written for
-- effect: A step would fail half-way, or the other checks and the remedies cannot read the tables.
-- remedy: Bind to the right database, role and search_path, or adapt the change to the tables.

WITH wanted (position, table_name, column_name, type, required, is_key) AS (
    VALUES
        (1, 'messages', 'id', 'uuid', true, true),
        (2, 'messages', 'channel_id', 'uuid', false, false),
        (3, 'messages', 'conversation_id', 'uuid', false, false),
        (4, 'messages', 'parent_id', 'uuid', false, false),
        (5, 'messages', 'sequence', 'integer', true, false),
        (6, 'messages', 'created_at', NULL, true, false),
        (7, 'read_cursors', 'user_id', 'uuid', true, false),
        (8, 'read_cursors', 'channel_id', 'uuid', false, false),
        (9, 'read_cursors', 'conversation_id', 'uuid', false, false),
        (10, 'read_cursors', 'last_read_sequence', 'integer', true, false)
), shape AS (
    SELECT
        wanted.*,
        t.oid,
        t.relkind,
        t.relnamespace,
        row_security_active(t.oid) AS hides_rows,
        a.attnum,
        format_type(a.atttypid, a.atttypmod) AS found_type,
        a.attnotnull,
        EXISTS (
            SELECT
            FROM pg_index AS i
            WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid AND i.indnkeyatts = 1
              AND i.indpred IS NULL AND i.indkey[0] = a.attnum
        ) AS has_key
    FROM wanted
    LEFT JOIN pg_class AS t ON t.oid = to_regclass(wanted.table_name)
    LEFT JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attname = wanted.column_name AND NOT a.attisdropped
)
SELECT DISTINCT ON (fact.subject, fact.number)
    fact.subject AS subject,
    fact.expected AS expected,
    fact.found AS found
FROM shape
CROSS JOIN LATERAL (
    VALUES
        (1, oid IS NULL, table_name, 'a table on the search_path', 'missing'),
        (
            2,
            relkind <> 'r',
            table_name,
            'an ordinary table',
            CASE relkind WHEN 'p' THEN 'a partitioned table' WHEN 'v' THEN 'a view' ELSE 'something else' END
        ),
        (
            3,
            oid IS NOT NULL AND relnamespace IS DISTINCT FROM to_regnamespace(quote_ident(current_schema())),
            'schema of ' || table_name,
            coalesce(current_schema(), 'none') || ' (where new objects are created)',
            relnamespace::regnamespace::text
        ),
        (4, hides_rows, table_name, 'every row is visible to ' || current_user, 'row security hides some'),
        (5, oid IS NOT NULL AND attnum IS NULL, table_name || '.' || column_name, coalesce(type, 'a column'), 'missing'),
        (6, found_type <> type, table_name || '.' || column_name, type, found_type),
        (7, required AND NOT attnotnull, table_name || '.' || column_name, 'not null', 'may be NULL'),
        (8, is_key AND attnum IS NOT NULL AND NOT has_key, table_name || '.' || column_name, 'unique', 'no such key')
) AS fact (number, present, subject, expected, found)
WHERE fact.present
ORDER BY fact.subject, fact.number;
