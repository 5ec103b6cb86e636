-- Every class code is guarded
-- effect: A code that somebody makes up is issued a second time later, and codes can be changed.
-- remedy: Run migrate/004_add_class_code_guard_trigger.sql again, then migrate/005_fill_class_code_counters.sql.

SELECT
    'trigger class_code_guard' AS setting,
    'BEFORE INSERT OR UPDATE OF class_code, each row, guard_class_code(), enabled' AS expected,
    coalesce(guard.faults, 'missing') AS found
FROM (SELECT to_regclass('classes') AS oid) AS t
LEFT JOIN LATERAL (
    SELECT concat_ws(
        ', ',
        -- row 1, before 2, insert 4, update 16
        CASE WHEN g.tgtype <> 23 THEN 'on other events' END,
        CASE WHEN a.attname IS DISTINCT FROM 'class_code' OR g.tgattr[1] IS NOT NULL THEN 'not for class_code alone' END,
        CASE WHEN g.tgqual IS NOT NULL THEN 'with a condition' END,
        CASE WHEN g.tgfoid IS DISTINCT FROM to_regprocedure('guard_class_code()') THEN 'calls another function' END,
        CASE g.tgenabled WHEN 'D' THEN 'disabled' WHEN 'R' THEN 'on replicas only' END
    ) AS faults
    FROM pg_trigger AS g
    LEFT JOIN pg_attribute AS a ON a.attrelid = g.tgrelid AND a.attnum = g.tgattr[0]
    WHERE g.tgrelid = t.oid AND g.tgname = 'class_code_guard'
) AS guard ON true
WHERE guard.faults IS DISTINCT FROM '';
