-- Drop the table audit_log, and all its rows
-- lock: AccessExclusive on audit_log
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TABLE IF EXISTS audit_log;
