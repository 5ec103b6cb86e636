-- Write the audit log from the eight tables
-- lock: ShareRowExclusive on chat_message; ShareRowExclusive on chat_session; ShareRowExclusive on cycle;
--   ShareRowExclusive on goal; ShareRowExclusive on plan_item; ShareRowExclusive on task;
--   ShareRowExclusive on vision; ShareRowExclusive on weekly_plan
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

CREATE OR REPLACE TRIGGER write_audit_log
    AFTER INSERT OR UPDATE OR DELETE ON vision
    FOR EACH ROW EXECUTE FUNCTION write_audit_log();

CREATE OR REPLACE TRIGGER write_audit_log
    AFTER INSERT OR UPDATE OR DELETE ON cycle
    FOR EACH ROW EXECUTE FUNCTION write_audit_log();

CREATE OR REPLACE TRIGGER write_audit_log
    AFTER INSERT OR UPDATE OR DELETE ON goal
    FOR EACH ROW EXECUTE FUNCTION write_audit_log();

CREATE OR REPLACE TRIGGER write_audit_log
    AFTER INSERT OR UPDATE OR DELETE ON weekly_plan
    FOR EACH ROW EXECUTE FUNCTION write_audit_log();

CREATE OR REPLACE TRIGGER write_audit_log
    AFTER INSERT OR UPDATE OR DELETE ON task
    FOR EACH ROW EXECUTE FUNCTION write_audit_log();

CREATE OR REPLACE TRIGGER write_audit_log
    AFTER INSERT OR UPDATE OR DELETE ON plan_item
    FOR EACH ROW EXECUTE FUNCTION write_audit_log();

CREATE OR REPLACE TRIGGER write_audit_log
    AFTER INSERT OR UPDATE OR DELETE ON chat_session
    FOR EACH ROW EXECUTE FUNCTION write_audit_log();

CREATE OR REPLACE TRIGGER write_audit_log
    AFTER INSERT OR UPDATE OR DELETE ON chat_message
    FOR EACH ROW EXECUTE FUNCTION write_audit_log();
