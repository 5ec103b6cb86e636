-- Drop the function that refuses a statement
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS refuse_statement();
