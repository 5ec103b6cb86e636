-- Guard the weeks themselves
-- lock: ShareRowExclusive on weekly_plan
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

-- To delete a locked week, to give it another number or another cycle, or to make another week one of them, would
-- change quotas without touching a plan item. An empty plan for a locked week may be made: it asks for nothing.
-- But foreign keys are checked at the end of the statement: a CTE could insert items before their week, or give the key
-- of another week, and thereby its items, to the new one. So it is asked at the end whether a new week is empty; not
-- before, which would refuse a week that is there already and that ON CONFLICT leaves alone.
CREATE OR REPLACE FUNCTION guard_weekly_plan() RETURNS trigger
    LANGUAGE plpgsql
AS $body$
DECLARE
    week smallint;
BEGIN
    IF TG_OP = 'UPDATE'
        AND (NEW.id, NEW.cycle_id, NEW.week_number, NEW.user_id)
            IS NOT DISTINCT FROM (OLD.id, OLD.cycle_id, OLD.week_number, OLD.user_id)
    THEN
        RETURN NEW;
    END IF;
    IF TG_OP = 'INSERT' THEN
        IF NEW.week_number >= 7
            AND hold_lock_flag(NEW.cycle_id, NEW.user_id)
            AND EXISTS (
                SELECT
                FROM plan_item AS p
                WHERE p.user_id = NEW.user_id AND p.cycle_id = NEW.cycle_id AND p.weekly_plan_id = NEW.id
            )
        THEN
            week := NEW.week_number;
        END IF;
    -- Held whatever the week is: nobody shall lock the cycle while one of its weeks moves.
    ELSIF hold_lock_flag(OLD.cycle_id, OLD.user_id) AND OLD.week_number >= 7 THEN
        week := OLD.week_number;
    ELSIF TG_OP = 'UPDATE' AND hold_lock_flag(NEW.cycle_id, NEW.user_id) AND NEW.week_number >= 7 THEN
        week := NEW.week_number;
    END IF;
    IF week IS NOT NULL THEN
        RAISE EXCEPTION 'week % is locked: it can be neither moved, filled from elsewhere nor deleted', week
            USING ERRCODE = 'P7012', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA,
                HINT = 'Its focus and review can be changed. A member of lock_admin can clear cycle.lock_enforced.';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$body$;

DO $pin$
BEGIN
    EXECUTE format('ALTER FUNCTION guard_weekly_plan() SET search_path = %I, pg_temp', current_schema());
END
$pin$;

REVOKE EXECUTE ON FUNCTION guard_weekly_plan() FROM PUBLIC;

COMMENT ON FUNCTION guard_weekly_plan() IS 'Refuses (P7012) to move or delete a locked week, and to make another one that has items.';

CREATE OR REPLACE TRIGGER guard_lock
    BEFORE UPDATE OR DELETE ON weekly_plan
    FOR EACH ROW EXECUTE FUNCTION guard_weekly_plan();

CREATE OR REPLACE TRIGGER guard_new_week
    AFTER INSERT ON weekly_plan
    FOR EACH ROW EXECUTE FUNCTION guard_weekly_plan();
