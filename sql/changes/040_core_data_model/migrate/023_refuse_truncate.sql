-- Refuse TRUNCATE of the eight tables
-- lock: ShareRowExclusive on chat_message; ShareRowExclusive on chat_session; ShareRowExclusive on cycle;
--   ShareRowExclusive on goal; ShareRowExclusive on plan_item; ShareRowExclusive on task;
--   ShareRowExclusive on vision; ShareRowExclusive on weekly_plan
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

-- TRUNCATE knows neither rows nor row security. With CASCADE it asks the trigger of every table it reaches.
CREATE OR REPLACE TRIGGER refuse_truncate
    BEFORE TRUNCATE ON vision
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('P7013', 'it would leave no entry in audit_log');

CREATE OR REPLACE TRIGGER refuse_truncate
    BEFORE TRUNCATE ON cycle
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('P7012', 'it would empty locked weeks');

CREATE OR REPLACE TRIGGER refuse_truncate
    BEFORE TRUNCATE ON goal
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('P7012', 'it would empty locked weeks');

CREATE OR REPLACE TRIGGER refuse_truncate
    BEFORE TRUNCATE ON weekly_plan
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('P7012', 'it would empty locked weeks');

CREATE OR REPLACE TRIGGER refuse_truncate
    BEFORE TRUNCATE ON task
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('P7012', 'it would empty locked weeks');

CREATE OR REPLACE TRIGGER refuse_truncate
    BEFORE TRUNCATE ON plan_item
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('P7012', 'it would empty locked weeks');

CREATE OR REPLACE TRIGGER refuse_truncate
    BEFORE TRUNCATE ON chat_session
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('P7013', 'it would leave no entry in audit_log');

CREATE OR REPLACE TRIGGER refuse_truncate
    BEFORE TRUNCATE ON chat_message
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_statement('P7013', 'it would leave no entry in audit_log');
