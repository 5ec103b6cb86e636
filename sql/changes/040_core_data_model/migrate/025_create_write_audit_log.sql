-- Create the function that writes the audit log
-- lock: none
-- estimate: 10 ms

-- As the owner, so that nobody who writes rows needs a privilege on audit_log. Nobody else may execute it either, or
-- a trigger on a temporary table of one's own would forge entries. pg_catalog is said where somebody who may create in
-- this schema could put in a better match, which would run as the owner.
CREATE OR REPLACE FUNCTION write_audit_log() RETURNS trigger
    LANGUAGE plpgsql
    SECURITY DEFINER
AS $body$
DECLARE
    was jsonb := CASE WHEN TG_OP <> 'INSERT' THEN pg_catalog.to_jsonb(OLD) END;
    is_now jsonb := CASE WHEN TG_OP <> 'DELETE' THEN pg_catalog.to_jsonb(NEW) END;
BEGIN
    INSERT INTO audit_log (user_id, action, table_name, row_id, before, after, actor_id, database_role)
    VALUES (
        coalesce(NEW.user_id, OLD.user_id),
        lower(TG_OP)::audit_action,
        TG_TABLE_NAME,
        coalesce(NEW.id, OLD.id),
        was,
        is_now,
        current_app_user(),
        -- Here current_user is the owner; the setting is what the session has taken on, if anything.
        coalesce(nullif(current_setting('role'), 'none'), session_user)
    );
    RETURN NULL;
END
$body$;

DO $pin$
BEGIN
    EXECUTE format('ALTER FUNCTION write_audit_log() SET search_path = %I, pg_temp', current_schema());
END
$pin$;

REVOKE EXECUTE ON FUNCTION write_audit_log() FROM PUBLIC;

COMMENT ON FUNCTION write_audit_log() IS 'Writes what was done to a row into audit_log, before and after, and by whom.';
