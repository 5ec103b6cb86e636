-- Drop the table recipe_rotation, and all its rows
-- lock: AccessExclusive on recipe_rotation; AccessExclusive on users
-- estimate: 10 ms

DROP TABLE IF EXISTS recipe_rotation;
