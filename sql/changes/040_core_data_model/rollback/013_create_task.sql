-- Drop the table task, and all its rows
-- lock: AccessExclusive on goal; AccessExclusive on task
-- estimate: 10 ms

DROP TABLE IF EXISTS task;
