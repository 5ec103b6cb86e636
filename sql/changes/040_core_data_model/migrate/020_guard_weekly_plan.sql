-- Guard the weeks themselves
-- lock: ShareRowExclusive on weekly_plan
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

-- To delete a locked week, to give it another number or another cycle, or to make another week one of them, would
-- change quotas without touching a plan item. An empty plan for a locked week may be made: it asks for nothing.
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
    -- Held whatever the week is: nobody shall lock the cycle while one of its weeks moves.
    IF hold_lock_flag(OLD.cycle_id, OLD.user_id) AND OLD.week_number >= 7 THEN
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

COMMENT ON FUNCTION guard_weekly_plan() IS 'Refuses (P7012) to move or delete a locked week, and to move another in.';

CREATE OR REPLACE TRIGGER guard_lock
    BEFORE UPDATE OR DELETE ON weekly_plan
    FOR EACH ROW EXECUTE FUNCTION guard_weekly_plan();
