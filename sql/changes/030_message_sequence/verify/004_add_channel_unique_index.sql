-- A complete unique index of channels is there
-- effect: Two messages of a channel could get the same number.
-- remedy: Drop it with rollback/004_add_channel_unique_index.sql, repair what stopped the build, run 004 again.

-- The specification looked with \d | grep -i unique, which shows an invalid index too, and its || echo made every
-- result a success.
WITH candidate AS (
    SELECT
        c.relname,
        concat_ws(
            ', ',
            CASE WHEN NOT i.indisvalid THEN 'invalid' END,
            CASE WHEN NOT i.indisready THEN 'not ready for writes' END,
            CASE WHEN NOT i.indisunique THEN 'not unique' END,
            CASE WHEN i.indnullsnotdistinct THEN 'takes NULLs for equal' END,
            CASE WHEN i.indexprs IS NOT NULL THEN 'on an expression' END,
            CASE WHEN m.amname <> 'btree' THEN 'not a btree' END,
            CASE WHEN columns.names IS DISTINCT FROM 'channel_id, sequence' THEN 'on ' || columns.names END,
            CASE WHEN pg_get_expr(i.indpred, i.indrelid) IS DISTINCT FROM '(channel_id IS NOT NULL)'
                THEN 'on other rows' END
        ) AS faults
    FROM pg_index AS i
    JOIN pg_class AS c ON c.oid = i.indexrelid
    JOIN pg_am AS m ON m.oid = c.relam
    CROSS JOIN LATERAL (
        SELECT string_agg(a.attname, ', ' ORDER BY key.position) AS names
        FROM unnest(i.indkey::smallint[]) WITH ORDINALITY AS key (attnum, position)
        JOIN pg_attribute AS a ON a.attrelid = i.indrelid AND a.attnum = key.attnum
    ) AS columns
    WHERE i.indrelid = to_regclass('messages') AND c.relname = 'messages_channel_seq_unique_idx'
)
SELECT
    'messages_channel_seq_unique_idx' AS index_name,
    'valid, unique, on channel_id and sequence where channel_id is not null' AS expected,
    coalesce(candidate.faults, 'missing') AS found
FROM (VALUES (true)) AS always (present)
LEFT JOIN candidate ON true
WHERE candidate.faults IS DISTINCT FROM '';
