-- The ledger: what ran here, what it cost, who approved it

DO $$
BEGIN
    -- IF NOT EXISTS would ask for CREATE on the database even where an administrator has made the schema.
    IF to_regnamespace('pgrunbook') IS NULL THEN
        CREATE SCHEMA pgrunbook;
    END IF;
END
$$;
COMMENT ON SCHEMA pgrunbook IS 'pgrunbook: ledger and quarantine of schema changes. event is append-only and hash-chained.';

CREATE TABLE pgrunbook.version (
    version      int PRIMARY KEY,
    installed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE pgrunbook.version IS 'Versions of the ledger''s own schema that are installed.';

CREATE TABLE pgrunbook.run (
    run_id            text PRIMARY KEY,
    change            text NOT NULL,
    operator          text NOT NULL,
    target_kind       text NOT NULL CHECK (target_kind IN ('rehearsal', 'live')),
    library_version   text NOT NULL,
    system_identifier text NOT NULL,
    timeline          int NOT NULL,
    started_at        timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at       timestamptz,
    outcome           text
);
COMMENT ON TABLE pgrunbook.run IS 'One execution of a change against this database by one operator.';
COMMENT ON COLUMN pgrunbook.run.system_identifier IS 'pg_control_system() at the start: tells this cluster from every other.';
COMMENT ON COLUMN pgrunbook.run.timeline IS 'Timeline at the start: a promotion changes it.';

CREATE TABLE pgrunbook.step (
    change        text NOT NULL,
    step          text NOT NULL,
    status        text NOT NULL
        CHECK (status IN ('running', 'done', 'failed', 'rolling back', 'rolled back')),
    script_sha256 text NOT NULL,
    run_id        text NOT NULL REFERENCES pgrunbook.run,
    started_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at   timestamptz,
    seconds       double precision,
    detail        jsonb NOT NULL DEFAULT '{}',
    PRIMARY KEY (change, step)
);
COMMENT ON TABLE pgrunbook.step IS 'The state of each step now; its history is in event.';
COMMENT ON COLUMN pgrunbook.step.status IS 'done is written in the transaction of the step itself where it has one.';
COMMENT ON COLUMN pgrunbook.step.script_sha256 IS 'Of the migrate file as it was sent to the server.';

CREATE TABLE pgrunbook.event (
    id            bigint PRIMARY KEY,
    at            timestamptz NOT NULL,
    run_id        text NOT NULL,
    change        text NOT NULL,
    step          text NOT NULL,
    kind          text NOT NULL,
    actor         text NOT NULL,
    detail        jsonb NOT NULL,
    previous_hash text NOT NULL,
    hash          text NOT NULL UNIQUE
);
COMMENT ON TABLE pgrunbook.event IS 'What happened, in order; append-only; each row holds the hash of the one before.';
COMMENT ON COLUMN pgrunbook.event.id IS 'Without gaps: a missing number is a removed row.';
COMMENT ON COLUMN pgrunbook.event.hash IS 'SHA-256, hex, of the JSON array [previous_hash, id, at in UTC, run_id, change, step, kind, actor, detail].';

CREATE FUNCTION pgrunbook.chain_event() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
DECLARE
    last pgrunbook.event;
BEGIN
    -- One writer at a time: the next hash needs the last one.
    PERFORM pg_advisory_xact_lock(7239847, 2);
    SELECT * INTO last FROM pgrunbook.event ORDER BY id DESC LIMIT 1;
    NEW.id := coalesce(last.id, 0) + 1;
    NEW.at := clock_timestamp();
    NEW.previous_hash := coalesce(last.hash, repeat('0', 64));
    NEW.hash := encode(sha256(convert_to(jsonb_build_array(
        NEW.previous_hash, NEW.id, to_char(NEW.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
        NEW.run_id, NEW.change, NEW.step, NEW.kind, NEW.actor, NEW.detail)::text, 'UTF8')), 'hex');
    RETURN NEW;
END
$$;
COMMENT ON FUNCTION pgrunbook.chain_event() IS 'Gives each event its number, its time and the hash that ties it to the one before.';

CREATE FUNCTION pgrunbook.refuse_rewriting() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path = pg_catalog
AS $$
BEGIN
    RAISE EXCEPTION 'pgrunbook.event is append-only: % refused', TG_OP
        USING ERRCODE = 'insufficient_privilege';
END
$$;
COMMENT ON FUNCTION pgrunbook.refuse_rewriting() IS 'Refuses UPDATE, DELETE and TRUNCATE of events.';

CREATE TRIGGER event_chained BEFORE INSERT ON pgrunbook.event
    FOR EACH ROW EXECUTE FUNCTION pgrunbook.chain_event();
CREATE TRIGGER event_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON pgrunbook.event
    FOR EACH STATEMENT EXECUTE FUNCTION pgrunbook.refuse_rewriting();

CREATE TABLE pgrunbook.quarantine (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id     text NOT NULL REFERENCES pgrunbook.run,
    change     text NOT NULL,
    remedy     text NOT NULL,
    table_name text NOT NULL,
    key        jsonb NOT NULL,
    before     jsonb NOT NULL,
    after      jsonb,
    kept_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    undone_at  timestamptz
);
CREATE INDEX quarantine_not_undone ON pgrunbook.quarantine (change, remedy, id) WHERE undone_at IS NULL;
COMMENT ON TABLE pgrunbook.quarantine IS 'What remedies replaced, written in the transaction that replaced it.';
COMMENT ON COLUMN pgrunbook.quarantine.key IS 'Column and value that find the row.';
COMMENT ON COLUMN pgrunbook.quarantine.before IS 'Columns as they were; the whole row where it was deleted.';
COMMENT ON COLUMN pgrunbook.quarantine.after IS 'The same columns as the remedy left them; null where the row was deleted.';

INSERT INTO pgrunbook.version (version) VALUES (1);
