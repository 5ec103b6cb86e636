-- Drop the function that remembers a used recipe
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS update_recipe_rotation(bigint, text, text, date);
