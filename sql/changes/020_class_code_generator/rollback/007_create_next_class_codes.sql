-- Drop the generator of blocks
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS next_class_codes(text, text, text, integer);
