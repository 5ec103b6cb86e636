-- Table users is not one that jobs can refer to
-- effect: Step 005a would fail: 42P01 where it is missing, 42804 where its id is of another type, 42830 where
--   nothing makes it unique, 42501 without the privilege.
-- remedy: Missing: bind to the right database and search_path, or migrate the users first. Another type (uuid, text):
--   before any step, write it instead of bigint wherever the change declares user_id, a function of recipes, or this
--   check: in all its files; other bigints stay. No privilege: the owner runs
--   GRANT REFERENCES ON users TO the role that migrates.

WITH shape AS (
    SELECT
        t.*,
        a.attnum,
        format_type(a.atttypid, a.atttypmod) AS type_name,
        CASE y.typtype WHEN 'd' THEN y.typbasetype ELSE y.oid END AS type_oid,
        EXISTS (
            SELECT
            FROM pg_index AS i
            WHERE i.indrelid = t.oid AND i.indisunique AND i.indisvalid AND i.indimmediate
              AND i.indpred IS NULL AND i.indnkeyatts = 1 AND i.indkey[0] = a.attnum
        ) AS has_key
    FROM (VALUES (to_regclass('users'))) AS wanted (oid)
    LEFT JOIN pg_class AS t ON t.oid = wanted.oid
    LEFT JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attname = 'id' AND NOT a.attisdropped
    LEFT JOIN pg_type AS y ON y.oid = a.atttypid
)
SELECT
    fact.subject AS subject,
    fact.expected AS expected,
    fact.found AS found
FROM shape
CROSS JOIN LATERAL (
    VALUES
        (1, oid IS NULL, 'users', 'a table on the search_path', 'missing'),
        (
            2,
            relkind NOT IN ('r', 'p'),
            'users',
            'a table',
            CASE relkind WHEN 'v' THEN 'a view' WHEN 'm' THEN 'a materialized view' WHEN 'f' THEN 'a foreign table' ELSE 'something else' END
        ),
        (
            3,
            relkind IN ('r', 'p') AND relpersistence <> 'p',
            'users',
            'a permanent table',
            CASE relpersistence WHEN 't' THEN 'a temporary one' ELSE 'an unlogged one' END
        ),
        (4, oid IS NOT NULL AND attnum IS NULL, 'users.id', 'a column', 'missing'),
        (
            5,
            type_oid NOT IN ('smallint'::regtype, 'integer'::regtype, 'bigint'::regtype),
            'users.id',
            'smallint, integer or bigint',
            type_name
        ),
        (6, relkind IN ('r', 'p') AND attnum IS NOT NULL AND NOT has_key, 'users.id', 'unique by itself', 'no such key'),
        (
            7,
            relkind IN ('r', 'p') AND attnum IS NOT NULL
                AND NOT has_table_privilege(oid, 'REFERENCES') AND NOT has_column_privilege(oid, attnum, 'REFERENCES'),
            'users.id',
            current_user || ' may refer to it',
            'no REFERENCES privilege'
        )
) AS fact (position, present, subject, expected, found)
WHERE fact.present
ORDER BY fact.position;
