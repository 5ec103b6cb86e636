-- Drop the table cycle, and all its rows
-- lock: AccessExclusive on cycle; AccessExclusive on vision
-- estimate: 10 ms

DROP TABLE IF EXISTS cycle;
