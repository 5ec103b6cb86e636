-- Let the audit log be rewritten again
-- lock: AccessExclusive on audit_log
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TRIGGER IF EXISTS append_only ON audit_log;
