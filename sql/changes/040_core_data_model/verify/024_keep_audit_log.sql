-- The audit log is append-only
-- effect: Entries could be rewritten or taken away.
-- remedy: Run migrate/024_keep_audit_log.sql again.

WITH wanted_trigger (table_name, name, definition, function) AS (
    VALUES
        ('audit_log', 'append_only', 'BEFORE DELETE OR UPDATE OR TRUNCATE FOR EACH STATEMENT', 'refuse_statement(''P7013'', ''audit_log is append-only'')')
)
SELECT
    fact.object AS object,
    fact.expected AS expected,
    fact.found AS found
FROM (
    SELECT
        'trigger ' || wanted.name || ' on ' || wanted.table_name AS object,
        concat_ws(' ', wanted.definition, wanted.function) AS expected,
        CASE WHEN g.oid IS NULL THEN 'missing' ELSE found.definition END AS found
    FROM wanted_trigger AS wanted
    LEFT JOIN pg_trigger AS g ON g.tgrelid = to_regclass(wanted.table_name) AND g.tgname = wanted.name
    CROSS JOIN LATERAL (
        SELECT concat_ws(
            ' ',
            regexp_replace(pg_get_triggerdef(g.oid), '^CREATE TRIGGER \S+ (.*) ON \S+ (.*) EXECUTE FUNCTION .*$', '\1 \2'),
            CASE
                WHEN g.tgfoid = to_regprocedure(split_part(wanted.function, '(', 1) || '()')
                    THEN split_part(wanted.function, '(', 1) || '(' || substring(pg_get_triggerdef(g.oid) FROM 'EXECUTE FUNCTION [^(]*\((.*)$')
                ELSE 'another function'
            END,
            CASE WHEN g.tgenabled <> 'O' THEN 'not enabled' END
        ) AS definition
    ) AS found
    WHERE g.oid IS NULL OR found.definition <> concat_ws(' ', wanted.definition, wanted.function)
) AS fact
ORDER BY fact.object, fact.expected;
