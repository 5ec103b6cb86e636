-- Drop the table recipe_rotation, and all its rows
-- lock: AccessExclusive on recipe_rotation
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

DROP TABLE IF EXISTS recipe_rotation;
