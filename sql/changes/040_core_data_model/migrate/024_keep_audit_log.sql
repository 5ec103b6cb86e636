-- Let nobody rewrite the audit log
-- lock: ShareRowExclusive on audit_log
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

-- For the statement, not the row: even one that reaches no row is refused, to its owner as well.
CREATE OR REPLACE TRIGGER append_only
    BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('P7013', 'audit_log is append-only');
