-- Let the audit log be rewritten again
-- lock: AccessExclusive on audit_log
-- estimate: 10 ms

DROP TRIGGER IF EXISTS append_only ON audit_log;
