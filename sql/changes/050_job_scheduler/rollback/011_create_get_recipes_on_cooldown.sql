-- Drop the question for recipes that may not come back yet
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS get_recipes_on_cooldown(bigint, text, integer);
