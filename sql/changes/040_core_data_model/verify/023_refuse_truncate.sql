-- TRUNCATE is refused
-- effect: One statement could empty locked weeks, and leave no entry in the audit log.
-- remedy: Run migrate/023_refuse_truncate.sql again.

WITH wanted_trigger (table_name, name, definition, function) AS (
    VALUES
        ('vision', 'refuse_truncate', 'BEFORE TRUNCATE FOR EACH STATEMENT', 'refuse_statement(''P7013'', ''it would leave no entry in audit_log'')'),
        ('cycle', 'refuse_truncate', 'BEFORE TRUNCATE FOR EACH STATEMENT', 'refuse_statement(''P7012'', ''it would empty locked weeks'')'),
        ('goal', 'refuse_truncate', 'BEFORE TRUNCATE FOR EACH STATEMENT', 'refuse_statement(''P7012'', ''it would empty locked weeks'')'),
        ('weekly_plan', 'refuse_truncate', 'BEFORE TRUNCATE FOR EACH STATEMENT', 'refuse_statement(''P7012'', ''it would empty locked weeks'')'),
        ('task', 'refuse_truncate', 'BEFORE TRUNCATE FOR EACH STATEMENT', 'refuse_statement(''P7012'', ''it would empty locked weeks'')'),
        ('plan_item', 'refuse_truncate', 'BEFORE TRUNCATE FOR EACH STATEMENT', 'refuse_statement(''P7012'', ''it would empty locked weeks'')'),
        ('chat_session', 'refuse_truncate', 'BEFORE TRUNCATE FOR EACH STATEMENT', 'refuse_statement(''P7013'', ''it would leave no entry in audit_log'')'),
        ('chat_message', 'refuse_truncate', 'BEFORE TRUNCATE FOR EACH STATEMENT', 'refuse_statement(''P7013'', ''it would leave no entry in audit_log'')')
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
