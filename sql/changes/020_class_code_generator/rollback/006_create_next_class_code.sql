-- Drop the generator
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS next_class_code(text, text, text);
