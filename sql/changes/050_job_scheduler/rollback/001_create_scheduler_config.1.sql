-- Drop the table scheduler_config, and all its rows
-- lock: AccessExclusive on scheduler_config
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TABLE IF EXISTS scheduler_config;
