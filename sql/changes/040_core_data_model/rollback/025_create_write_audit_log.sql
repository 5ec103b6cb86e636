-- Drop the function that writes the audit log
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS write_audit_log();
