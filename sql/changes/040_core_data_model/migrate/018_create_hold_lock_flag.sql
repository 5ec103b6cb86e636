-- Create the function that reads the lock of a cycle, and holds it
-- lock: none
-- estimate: 10 ms

-- FOR SHARE makes whoever sets or clears the flag wait until we commit, and us wait for him: without it a quota could
-- be written after the lock was committed. It needs the UPDATE privilege on a column of cycle.
-- With the rights of the caller: FORCE ROW LEVEL SECURITY would bind the owner as well. So the claims have to be the
-- row's own here, too: a statement can change them while it runs (set_config), and not to see the cycle would pass
-- for its being gone.
-- EXECUTE plans anew: a plan made in a statement of the owner, with row security, would be kept for a cascade, which
-- goes on as the owner without it and with whatever claims there are by then, and would not find the cycle.
-- Functions that anybody could overload with a better match in this schema say pg_catalog.
CREATE OR REPLACE FUNCTION hold_lock_flag(cycle_id uuid, user_id uuid) RETURNS boolean
    LANGUAGE plpgsql
AS $body$
DECLARE
    enforced boolean;
BEGIN
    IF pg_catalog.row_security_active('cycle'::regclass)
        AND current_app_user() IS DISTINCT FROM hold_lock_flag.user_id
    THEN
        RAISE EXCEPTION 'the session does not act for the user of cycle %', hold_lock_flag.cycle_id
            USING ERRCODE = 'insufficient_privilege',
                HINT = 'Set the claims before the statement, not within it.';
    END IF;
    EXECUTE 'SELECT lock_enforced FROM cycle WHERE id = $1 AND user_id = $2 FOR SHARE'
        INTO enforced
        USING hold_lock_flag.cycle_id, hold_lock_flag.user_id;
    -- Not found: it is being deleted, by the statement that reaches its rows now, and its own guard let that pass.
    RETURN coalesce(enforced, false);
END
$body$;

DO $pin$
BEGIN
    EXECUTE format('ALTER FUNCTION hold_lock_flag(uuid, uuid) SET search_path = %I, pg_temp', current_schema());
END
$pin$;

COMMENT ON FUNCTION hold_lock_flag(uuid, uuid) IS
    'Whether weeks 7 to 12 of a cycle are locked; nobody can change that before the transaction ends.';
