-- Others that make up class codes
-- effect: Their codes compete with the generator: one that is ahead lifts the counter, one that exists fails (23505).
-- remedy: Have each of them call next_class_code, or store NULL. Found by words: look before you judge.
-- severity: warn

-- A session that asked for its code in a statement of its own is shown too; other roles' statements may be hidden.
WITH source AS (
    SELECT
        p.oid,
        n.nspname,
        p.proname,
        pg_get_functiondef(p.oid) AS text
    FROM pg_proc AS p
    JOIN pg_namespace AS n ON n.oid = p.pronamespace
    WHERE p.prokind IN ('f', 'p')
      AND n.nspname !~ '^(pg_|information_schema$|pgrunbook$)'
      AND p.proname NOT IN ('class_code_prefix', 'guard_class_code', 'next_class_code', 'next_class_codes')
      AND NOT EXISTS (
          SELECT FROM pg_depend AS d WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
      )
), found (position, object, what, text) AS (
    SELECT 1, 'default of classes.class_code', 'gives every class without a code this one', pg_get_expr(d.adbin, d.adrelid)
    FROM pg_attrdef AS d
    JOIN pg_attribute AS a ON a.attrelid = d.adrelid AND a.attnum = d.adnum
    WHERE d.adrelid = to_regclass('classes')
      AND a.attname = 'class_code'
      AND pg_get_expr(d.adbin, d.adrelid) !~ '^NULL\M'
    UNION ALL
    SELECT
        2,
        'function ' || source.oid::regprocedure,
        concat_ws(
            ', ',
            CASE WHEN source.text ~* '\mnew\.class_code\s*:?=' THEN 'sets NEW.class_code' END,
            CASE
                WHEN source.text ~* '\mmax\s*\([^)]*\mclass_code\M|\morder\s+by\s+\S*\mclass_code\s+desc\M'
                    THEN 'looks for the highest code'
            END,
            CASE
                WHEN source.text ~* '\m(insert\s+into|update)\s+\S*\mclasses\M.*\mclass_code\M'
                    AND source.text !~* '\mnext_class_codes?\M'
                    THEN 'writes class_code'
            END
        ),
        (
            SELECT 'called by trigger ' || string_agg(g.tgname, ', ' ORDER BY g.tgname)
            FROM pg_trigger AS g
            WHERE g.tgfoid = source.oid AND g.tgrelid = to_regclass('classes')
        )
    FROM source
    WHERE source.text ~* '\mclass_code\M'
    UNION ALL
    SELECT 3, 'session ' || a.pid || ' of ' || a.usename, 'writes class_code, ' || a.state, left(a.query, 200)
    FROM pg_stat_activity AS a
    WHERE a.datname = current_database()
      AND a.pid <> pg_backend_pid()
      AND a.state <> 'idle'
      AND a.query ~* '\m(insert\s+into|update|copy)\s+\S*\mclasses\M.*\mclass_code\M'
      AND a.query !~* '\mnext_class_codes?\M'
)
SELECT
    object AS object,
    what AS what,
    coalesce(text, '') AS text
FROM found
WHERE what <> ''
ORDER BY position, object COLLATE "C";
