-- The role cannot see what other roles' sessions do
-- severity: warn
-- effect: old transactions and blockers of other roles are not shown by name and age; the steps still wait for them
-- remedy: let an administrator run GRANT pg_read_all_stats TO the role that is shown
SELECT current_user::text AS role,
       'pg_read_all_stats' AS needs
 WHERE NOT pg_has_role(current_user, 'pg_read_all_stats', 'USAGE');
