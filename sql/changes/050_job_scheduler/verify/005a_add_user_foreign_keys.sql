-- Jobs and recipes are tied to their users, as declared
-- effect: Jobs and recipes of users who are gone would stay, and those of users who never were could be made.
-- remedy: Compare what differs with migrate/005a_add_user_foreign_keys.sql before anything else is done.

WITH wanted (table_name, name) AS (
    VALUES
        ('scheduled_jobs', 'scheduled_jobs_user_id_fkey'),
        ('recipe_rotation', 'recipe_rotation_user_id_fkey')
)
SELECT
    'foreign key ' || wanted.name AS object,
    'FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE' AS expected,
    coalesce(concat_ws(' ', pg_get_constraintdef(c.oid), CASE WHEN NOT c.convalidated THEN 'not validated' END), 'missing') AS found
FROM wanted
LEFT JOIN pg_constraint AS c ON c.conrelid = to_regclass(wanted.table_name) AND c.conname = wanted.name
WHERE c.oid IS NULL
    OR NOT c.convalidated
    OR c.confrelid IS DISTINCT FROM to_regclass('users')
    OR pg_get_constraintdef(c.oid) <> 'FOREIGN KEY (user_id) REFERENCES users(id) ON DELETE CASCADE'
ORDER BY object;
