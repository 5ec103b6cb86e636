-- The counters are there, as declared
-- effect: The guard would have nowhere to count, and every message would be refused.
-- remedy: Run migrate/001_create_message_counters.sql again.

WITH wanted (table_name, expected) AS (
    VALUES
        ('message_counters', 'home_id uuid, counted bigint, key home_id'),
        ('message_starts', 'home_id uuid, start bigint, key home_id')
)
SELECT
    wanted.table_name AS table_name,
    wanted.expected AS expected,
    coalesce(there.found, 'missing') AS found
FROM wanted
LEFT JOIN LATERAL (
    SELECT string_agg(a.attname || ' ' || format_type(a.atttypid, a.atttypmod), ', ' ORDER BY a.attnum)
        || coalesce(', key ' || (
            SELECT string_agg(k.attname, ', ')
            FROM pg_index AS i
            JOIN pg_attribute AS k ON k.attrelid = i.indrelid AND k.attnum = ANY (i.indkey::smallint[])
            WHERE i.indrelid = to_regclass(wanted.table_name) AND i.indisprimary AND i.indisvalid
        ), '') AS found
    FROM pg_attribute AS a
    WHERE a.attrelid = to_regclass(wanted.table_name) AND a.attnum > 0 AND NOT a.attisdropped
) AS there ON true
WHERE there.found IS DISTINCT FROM wanted.expected
ORDER BY wanted.table_name;
