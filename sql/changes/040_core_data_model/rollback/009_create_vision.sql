-- Drop the table vision, and all its rows
-- lock: AccessExclusive on vision
-- estimate: 10 ms

DROP TABLE IF EXISTS vision;
