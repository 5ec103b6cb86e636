-- Every message has one home
-- effect: Messages without a home, or with two, from before the rule may still be in the table.
-- remedy: Repair what preflight/30 and 40 show, then run migrate/007_validate_one_home.sql.

SELECT
    'constraint messages_one_home' AS setting,
    'validated' AS expected,
    CASE WHEN c.oid IS NULL THEN 'missing' ELSE 'not validated' END AS found
FROM (SELECT to_regclass('messages') AS oid) AS t
LEFT JOIN pg_constraint AS c ON c.conrelid = t.oid AND c.conname = 'messages_one_home'
WHERE c.convalidated IS NOT TRUE;
