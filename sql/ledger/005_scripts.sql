-- The text of every script that a run may send, kept under its SHA-256: what ran can be read when its folder is gone

CREATE TABLE pgrunbook.script (
    sha256  text PRIMARY KEY CHECK (sha256 = encode(sha256(content), 'hex')),
    content bytea NOT NULL,
    kept_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE pgrunbook.script IS 'Scripts as they were sent, one row a text; append-only. Events tell which of them ran.';
COMMENT ON COLUMN pgrunbook.script.content IS 'The bytes of the file; to read them: convert_from(content, ''UTF8'').';

CREATE OR REPLACE FUNCTION pgrunbook.refuse_rewriting() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    RAISE EXCEPTION 'pgrunbook.% is append-only: % refused', TG_TABLE_NAME, TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;
COMMENT ON FUNCTION pgrunbook.refuse_rewriting() IS 'Refuses UPDATE, DELETE and TRUNCATE of what is append-only.';
CREATE TRIGGER script_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON pgrunbook.script
    FOR EACH STATEMENT EXECUTE FUNCTION pgrunbook.refuse_rewriting();

-- Who may read the events may read the scripts that they speak of; who may write them writes those too. Whoever
-- upgrades, the table belongs to the owner of the events, or is at least theirs to write where it cannot be given.
DO $$
DECLARE
    reader record;
BEGIN
    FOR reader IN
        SELECT acl.privilege_type AS privilege,
               CASE acl.grantee WHEN 0 THEN 'PUBLIC' ELSE acl.grantee::regrole::text END AS name
          FROM pg_catalog.pg_class AS c
         CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS acl
         WHERE c.oid = 'pgrunbook.event'::regclass
           AND acl.privilege_type IN ('SELECT', 'INSERT')
    LOOP
        EXECUTE format('GRANT %s ON pgrunbook.script TO %s', reader.privilege, reader.name);
    END LOOP;
    BEGIN
        EXECUTE format('ALTER TABLE pgrunbook.script OWNER TO %s', (
            SELECT relowner::regrole FROM pg_catalog.pg_class WHERE oid = 'pgrunbook.event'::regclass));
    EXCEPTION WHEN insufficient_privilege THEN
        NULL;
    END;
END
$$;

INSERT INTO pgrunbook.version (version) VALUES (5);
