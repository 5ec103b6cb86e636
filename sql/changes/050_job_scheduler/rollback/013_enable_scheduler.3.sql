-- Copy the four tables, where the setting scheduler.backup_tag says under which name
-- lock: none
-- estimate: 10 ms

-- PGOPTIONS='-c scheduler.backup_tag=before_050' makes scheduled_jobs_backup_before_050 and so on, which stay. Rows only:
-- keys, checks and triggers belong to what is dropped. Without the setting nothing is read or written.
DO $backup$
DECLARE
    tag CONSTANT text := coalesce(current_setting('scheduler.backup_tag', true), '');
    wanted record;
    copied bigint;
BEGIN
    IF tag = '' THEN
        RETURN;
    ELSIF tag !~ '^[a-z0-9_]{1,20}$' THEN
        RAISE invalid_parameter_value USING
            MESSAGE = format('no tag for a backup: %s', tag),
            HINT = 'It is 1 to 20 of a to z, 0 to 9 and _.';
    END IF;
    FOR wanted IN
        SELECT n.nspname, c.relname, c.relname || '_backup_' || tag AS backup
        FROM unnest(ARRAY['scheduled_jobs', 'job_executions', 'scheduler_config', 'recipe_rotation']) AS ours (name)
        JOIN pg_class AS c ON c.oid = to_regclass(ours.name)
        JOIN pg_namespace AS n ON n.oid = c.relnamespace
        ORDER BY c.relname
    LOOP
        IF to_regclass(format('%I.%I', wanted.nspname, wanted.backup)) IS NOT NULL THEN
            RAISE duplicate_table USING
                MESSAGE = format('there is a backup of that name: %I.%I', wanted.nspname, wanted.backup),
                HINT = 'Take another tag, or drop the earlier backup. Nothing has been dropped.';
        END IF;
        EXECUTE format('CREATE TABLE %I.%I AS TABLE %I.%I', wanted.nspname, wanted.backup, wanted.nspname, wanted.relname);
        GET DIAGNOSTICS copied = ROW_COUNT;
        RAISE NOTICE 'Rows copied to %: %', wanted.backup, copied;
    END LOOP;
END
$backup$;
