-- Drop the function that puts a prefix together
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS class_code_prefix(text, text, text);
