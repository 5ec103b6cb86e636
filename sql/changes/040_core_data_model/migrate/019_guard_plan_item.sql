-- Guard the quotas of locked weeks
-- lock: ShareRowExclusive on plan_item
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

-- Insert, delete, another quota, another week, another task: all of them change what a locked week asks for. How
-- often a task was done, its status and its note stay free. A delete that comes down from the week, the task or the
-- cycle passes here as well: where the week is gone already, its own guard has let it go. Planned anew each time, as
-- in hold_lock_flag.
CREATE OR REPLACE FUNCTION guard_plan_item() RETURNS trigger
    LANGUAGE plpgsql
AS $body$
DECLARE
    locked_week CONSTANT text := 'SELECT week_number FROM weekly_plan WHERE id = $1 AND week_number >= 7';
    week smallint;
BEGIN
    IF TG_OP = 'UPDATE'
        AND (NEW.quota, NEW.weekly_plan_id, NEW.task_id, NEW.cycle_id, NEW.user_id)
            IS NOT DISTINCT FROM (OLD.quota, OLD.weekly_plan_id, OLD.task_id, OLD.cycle_id, OLD.user_id)
    THEN
        RETURN NEW;
    END IF;
    IF TG_OP <> 'INSERT' AND hold_lock_flag(OLD.cycle_id, OLD.user_id) THEN
        EXECUTE locked_week INTO week USING OLD.weekly_plan_id;
    END IF;
    IF week IS NULL AND TG_OP <> 'DELETE' AND hold_lock_flag(NEW.cycle_id, NEW.user_id) THEN
        EXECUTE locked_week INTO week USING NEW.weekly_plan_id;
    END IF;
    IF week IS NOT NULL THEN
        RAISE EXCEPTION 'week % is locked: its quotas cannot be changed', week
            USING ERRCODE = 'P7012', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA,
                HINT = 'Progress (done, status, note) can. A member of lock_admin can clear cycle.lock_enforced.';
    END IF;
    IF TG_OP = 'DELETE' THEN
        RETURN OLD;
    END IF;
    RETURN NEW;
END
$body$;

DO $pin$
BEGIN
    EXECUTE format('ALTER FUNCTION guard_plan_item() SET search_path = %I, pg_temp', current_schema());
END
$pin$;

REVOKE EXECUTE ON FUNCTION guard_plan_item() FROM PUBLIC;

COMMENT ON FUNCTION guard_plan_item() IS 'Refuses (P7012) what changes the quotas of a locked week.';

CREATE OR REPLACE TRIGGER guard_lock
    BEFORE INSERT OR UPDATE OR DELETE ON plan_item
    FOR EACH ROW EXECUTE FUNCTION guard_plan_item();
