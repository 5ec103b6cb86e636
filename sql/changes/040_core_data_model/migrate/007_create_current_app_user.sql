-- Create the function that says whose rows a session may see
-- lock: none
-- estimate: 10 ms

-- Supabase and PostgREST put the claims of the token into request.jwt.claims, older ones its sub alone into
-- request.jwt.claim.sub; any other application sets app.user_id. The first of them that says anything decides:
-- a token without a user must not fall back to what an earlier user of the same connection left behind.
-- A setting that was once set locally is '' afterwards, not NULL: casting that to uuid fails (22P02).
-- What is no claim gives NULL, which is nobody: no row, and no error that tells one claim from another.
CREATE OR REPLACE FUNCTION current_app_user() RETURNS uuid
    LANGUAGE plpgsql
    STABLE
    PARALLEL RESTRICTED
    SET search_path = pg_catalog, pg_temp
AS $body$
DECLARE
    claims text := nullif(current_setting('request.jwt.claims', true), '');
    subject text := nullif(current_setting('request.jwt.claim.sub', true), '');
BEGIN
    IF claims IS NOT NULL THEN
        RETURN (claims::jsonb ->> 'sub')::uuid;
    ELSIF subject IS NOT NULL THEN
        RETURN subject::uuid;
    END IF;
    RETURN nullif(current_setting('app.user_id', true), '')::uuid;
EXCEPTION
    WHEN data_exception OR program_limit_exceeded THEN
        RETURN NULL;
END
$body$;

COMMENT ON FUNCTION current_app_user() IS
    'User that the session acts for, from its claims; NULL, which is nobody, where there are none or no sound ones.';
