-- Create the question for recipes that may not come back yet
-- lock: AccessShare on recipe_rotation; AccessShare on scheduler_config
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

-- Columns are qualified, parameters begin with p_: user_id = user_id is true for every row. A recipe used exactly
-- p_cooldown_days ago may come back today; today is a day of the scheduler's zone, not of the session's.
CREATE OR REPLACE FUNCTION get_recipes_on_cooldown(p_user_id bigint, p_meal_type text, p_cooldown_days integer DEFAULT 30)
RETURNS TABLE (recipe_id text, last_used_date date, days_since_use integer)
LANGUAGE sql
STABLE
SET enable_seqscan = off
AS $body$
    SELECT r.recipe_id, r.last_used_date, today.day - r.last_used_date
    FROM (
        SELECT (now() AT TIME ZONE coalesce((SELECT c.timezone FROM scheduler_config AS c WHERE c.id = 1), 'UTC'))::date AS day
    ) AS today
    JOIN recipe_rotation AS r ON r.user_id = p_user_id AND r.meal_type = p_meal_type
        AND r.last_used_date > today.day - p_cooldown_days
    ORDER BY r.last_used_date DESC, r.recipe_id;
$body$;

DO $pin$
BEGIN
    EXECUTE format('ALTER FUNCTION get_recipes_on_cooldown(bigint, text, integer) SET search_path = %I, pg_temp', current_schema());
END
$pin$;

COMMENT ON FUNCTION get_recipes_on_cooldown(bigint, text, integer) IS
    'Recipes that a user had at a meal less than p_cooldown_days ago, the latest first.';
