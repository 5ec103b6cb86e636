-- Table auto_meal_plans is missing
-- effect: None for the change: the specification names it as a prerequisite, but nothing here refers to it. It makes it
--   likely that this is another database, or that a migration of the application has not run yet.
-- remedy: Look whether this is the right database; weekly_generation has nowhere to put its plans without it.
-- severity: warn

SELECT
    'auto_meal_plans' AS subject,
    'a table on the search_path' AS expected,
    'missing' AS found
WHERE to_regclass('auto_meal_plans') IS NULL;
