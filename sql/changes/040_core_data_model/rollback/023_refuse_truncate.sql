-- Let TRUNCATE pass again
-- lock: AccessExclusive on chat_message; AccessExclusive on chat_session; AccessExclusive on cycle;
--   AccessExclusive on goal; AccessExclusive on plan_item; AccessExclusive on task;
--   AccessExclusive on vision; AccessExclusive on weekly_plan
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TRIGGER IF EXISTS refuse_truncate ON vision;
DROP TRIGGER IF EXISTS refuse_truncate ON cycle;
DROP TRIGGER IF EXISTS refuse_truncate ON goal;
DROP TRIGGER IF EXISTS refuse_truncate ON weekly_plan;
DROP TRIGGER IF EXISTS refuse_truncate ON task;
DROP TRIGGER IF EXISTS refuse_truncate ON plan_item;
DROP TRIGGER IF EXISTS refuse_truncate ON chat_session;
DROP TRIGGER IF EXISTS refuse_truncate ON chat_message;
