-- Drop the table audit_log, and all its rows
-- lock: AccessExclusive on audit_log
-- estimate: 10 ms

DROP TABLE IF EXISTS audit_log;
