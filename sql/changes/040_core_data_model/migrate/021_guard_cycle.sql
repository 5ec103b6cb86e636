-- Guard the lock itself
-- lock: ShareRowExclusive on cycle
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

-- The lock is one-way: only a member of lock_admin clears it, and a locked cycle can be neither deleted nor put off,
-- which would come to the same. USAGE and not MEMBER: who may only administer the role, or would have to SET ROLE
-- first, has not done so.
CREATE OR REPLACE FUNCTION guard_cycle() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog, pg_temp
AS $body$
BEGIN
    IF TG_OP = 'UPDATE' THEN
        IF NOT OLD.lock_enforced
            OR (NEW.lock_enforced AND (NEW.id, NEW.starts_on) IS NOT DISTINCT FROM (OLD.id, OLD.starts_on))
            OR (NOT NEW.lock_enforced AND pg_has_role(current_user, 'lock_admin', 'USAGE'))
        THEN
            RETURN NEW;
        END IF;
    ELSIF NOT OLD.lock_enforced THEN
        RETURN OLD;
    END IF;
    RAISE EXCEPTION 'cycle % is locked: it cannot be unlocked, put off or deleted', OLD.id
        USING ERRCODE = 'P7012', TABLE = TG_TABLE_NAME, SCHEMA = TG_TABLE_SCHEMA,
            HINT = 'A member of lock_admin can clear cycle.lock_enforced.';
END
$body$;

REVOKE EXECUTE ON FUNCTION guard_cycle() FROM PUBLIC;

COMMENT ON FUNCTION guard_cycle() IS 'Lets nobody but a member of lock_admin undo the lock of a cycle (P7012).';

CREATE OR REPLACE TRIGGER guard_lock
    BEFORE UPDATE OR DELETE ON cycle
    FOR EACH ROW EXECUTE FUNCTION guard_cycle();
