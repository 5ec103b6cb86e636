-- Drop the table goal, and all its rows
-- lock: AccessExclusive on cycle; AccessExclusive on goal
-- estimate: 10 ms

DROP TABLE IF EXISTS goal;
