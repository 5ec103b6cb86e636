-- Switch the scheduler off, and commit that before anything else
-- lock: RowExclusive on scheduler_config
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

-- In a transaction of its own: together with the drops, as the specification has it, no worker would see it before the
-- tables are gone. Jobs that run go on.
DO $stop$
BEGIN
    IF to_regclass('scheduler_config') IS NOT NULL THEN
        UPDATE scheduler_config SET enabled = false WHERE id = 1 AND enabled;
    END IF;
END
$stop$;
