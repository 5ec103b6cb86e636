-- Counters far ahead of the codes of their prefix
-- effect: The next code leaves a gap of more than 1,000 numbers; nothing fails.
-- remedy: Nothing to do if classes were deleted or blocks not used; else ask who lifted the counter, before the next code.
-- severity: warn

-- The table may be missing, and SQL has no IF: ts_stat is a function that runs a query given as text, and each row
-- comes as one word of it, `11-REALLL-RLN- 42`.
WITH state AS (
    SELECT c.oid::regclass AS counters
    FROM pg_class AS t
    JOIN pg_class AS c ON c.relnamespace = t.relnamespace AND c.relname = 'class_code_counters' AND c.relkind = 'r'
    WHERE t.oid = to_regclass('classes')
      AND has_table_privilege(c.oid, 'SELECT')
      AND 2 = (
          SELECT count(*)
          FROM pg_attribute AS a
          WHERE a.attrelid = c.oid
            AND (a.attname, a.atttypid) IN (('prefix', 'text'::regtype), ('last_number', 'bigint'::regtype))
      )
), counter AS (
    SELECT
        substring(row.word FROM '^(.*) -?[0-9]+$') AS prefix,
        substring(row.word FROM ' (-?[0-9]+)$')::bigint AS last_number
    FROM state
    CROSS JOIN LATERAL ts_stat(
        format('SELECT array_to_tsvector(ARRAY[prefix || '' '' || last_number]) FROM %s', state.counters)
    ) AS row
), code AS (
    SELECT
        left(class_code, -length(split_part(class_code, '-', 4))) AS prefix,
        max(split_part(class_code, '-', 4)::bigint) AS highest
    FROM classes
    WHERE class_code ~ '^[^-]+-[^-]+-[^-]+-[0-9]{1,18}$'
    GROUP BY 1
)
SELECT
    counter.prefix AS prefix,
    code.highest AS highest_number,
    counter.last_number AS last_number
FROM counter
LEFT JOIN code ON code.prefix = counter.prefix
WHERE counter.last_number > coalesce(code.highest, 0) + 1000
ORDER BY counter.last_number DESC, counter.prefix COLLATE "C";
