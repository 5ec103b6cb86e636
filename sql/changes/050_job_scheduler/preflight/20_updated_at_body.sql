-- The trigger function does something else than set updated_at
-- effect: updated_at would stay as it was; or, where it needs a column that these tables do not have, every UPDATE would
--   fail (42703), the one of step 013 first.
-- remedy: Read it. Where it is right in a way that this check cannot see, go on; else mend it, or make one of that name for
--   these tables in a schema that is earlier in search_path.
-- severity: warn

WITH body AS (
    SELECT regexp_replace(p.prosrc, '--[^\n]*|/\*.*?\*/', ' ', 'g') AS text
    FROM pg_proc AS p
    JOIN pg_language AS l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
    WHERE p.oid = to_regprocedure('update_updated_at_column()') AND p.prorettype = 'trigger'::regtype
)
SELECT
    'update_updated_at_column()' AS function,
    'NEW.updated_at := ...' AS expected,
    'nothing of the kind' AS found
FROM body
WHERE body.text !~* 'new\s*\.\s*"?updated_at"?\s*:?='
UNION ALL
SELECT DISTINCT
    'update_updated_at_column()',
    'the columns id, created_at and updated_at alone',
    lower(field.parts[1])
FROM body
CROSS JOIN regexp_matches(body.text, '\m(?:new|old)\s*\.\s*"?(\w+)', 'gi') AS field (parts)
WHERE lower(field.parts[1]) NOT IN ('id', 'created_at', 'updated_at')
ORDER BY found;
