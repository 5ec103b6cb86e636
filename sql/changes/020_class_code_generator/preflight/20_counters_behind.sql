-- Counters behind the codes of their prefix, or missing
-- effect: The next code of such a prefix exists already: a class saved with it fails (23505).
-- remedy: Run migrate/005_fill_class_code_counters.sql again, which only lifts counters, and find out who writes codes
--   past the guard: 50_other_writers may tell.

-- Between the trigger and the generator a counter may be behind, and so may an empty table: step 005 is still to come.
-- The table may be missing, and SQL has no IF: ts_stat is a function that runs a query given as text, and each row
-- comes as one word of it, `11-REALLL-RLN- 42`.
WITH state AS (
    SELECT
        c.oid::regclass AS counters,
        EXISTS (
            SELECT FROM pg_trigger AS g WHERE g.tgrelid = t.oid AND g.tgname = 'class_code_guard'
        ) AS has_guard,
        EXISTS (
            SELECT FROM pg_proc AS p WHERE p.pronamespace = t.relnamespace AND p.proname = 'next_class_code'
        ) AS has_generator
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
    code.prefix AS prefix,
    code.highest AS highest_number,
    counter.last_number AS last_number
FROM state
CROSS JOIN code
LEFT JOIN counter ON counter.prefix = code.prefix
WHERE counter.last_number >= code.highest IS NOT TRUE
  AND (state.has_generator OR (NOT state.has_guard AND EXISTS (SELECT FROM counter AS filled)))
ORDER BY code.prefix COLLATE "C";
