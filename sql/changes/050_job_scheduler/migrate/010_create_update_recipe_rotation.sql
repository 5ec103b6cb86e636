-- Create the function that remembers a used recipe
-- lock: RowExclusive on recipe_rotation
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

CREATE OR REPLACE FUNCTION update_recipe_rotation(p_user_id bigint, p_recipe_id text, p_meal_type text, p_used_date date)
RETURNS void
LANGUAGE sql
AS $body$
    -- Uses may be told in any order: the date never goes back.
    INSERT INTO recipe_rotation AS r (user_id, recipe_id, meal_type, last_used_date)
    VALUES (p_user_id, p_recipe_id, p_meal_type, p_used_date)
    ON CONFLICT (user_id, recipe_id, meal_type) DO UPDATE
    SET last_used_date = greatest(r.last_used_date, excluded.last_used_date),
        use_count = r.use_count + 1;
$body$;

DO $pin$
BEGIN
    EXECUTE format('ALTER FUNCTION update_recipe_rotation(bigint, text, text, date) SET search_path = %I, pg_temp', current_schema());
END
$pin$;

COMMENT ON FUNCTION update_recipe_rotation(bigint, text, text, date) IS 'Counts one more use of a recipe at a meal; the latest day stays.';
