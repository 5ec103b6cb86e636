-- Create the audit log
-- lock: none
-- estimate: 10 ms

-- No foreign key: what is deleted stays on record.
CREATE TABLE audit_log (
    id             bigint GENERATED ALWAYS AS IDENTITY,
    user_id        uuid NOT NULL,
    action         audit_action NOT NULL,
    table_name     text NOT NULL,
    row_id         uuid NOT NULL,
    before         jsonb,
    after          jsonb,
    actor_id       uuid,
    database_role  text NOT NULL,
    transaction_id bigint NOT NULL DEFAULT (pg_current_xact_id()::text::bigint),
    occurred_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
    CONSTRAINT audit_log_pkey PRIMARY KEY (id),
    CONSTRAINT audit_log_before_object CHECK (jsonb_typeof(before) = 'object'),
    CONSTRAINT audit_log_after_object CHECK (jsonb_typeof(after) = 'object'),
    CONSTRAINT audit_log_before_by_action CHECK ((before IS NULL) = (action = 'insert')),
    CONSTRAINT audit_log_after_by_action CHECK ((after IS NULL) = (action = 'delete')),
    CONSTRAINT audit_log_table_name_length CHECK (char_length(table_name) BETWEEN 1 AND 63),
    CONSTRAINT audit_log_database_role_length CHECK (char_length(database_role) BETWEEN 1 AND 63)
);

CREATE INDEX audit_log_user_idx ON audit_log (user_id, occurred_at);
CREATE INDEX audit_log_row_idx ON audit_log (user_id, table_name, row_id);

COMMENT ON TABLE audit_log IS 'Every row that was inserted, updated or deleted in the other tables, before and after; written by triggers alone.';
COMMENT ON COLUMN audit_log.id IS 'Order of the entries.';
COMMENT ON COLUMN audit_log.user_id IS 'Tenant: the user whose row was written.';
COMMENT ON COLUMN audit_log.action IS 'What was done.';
COMMENT ON COLUMN audit_log.table_name IS 'Table of the row.';
COMMENT ON COLUMN audit_log.row_id IS 'Key of the row.';
COMMENT ON COLUMN audit_log.before IS 'The row before; NULL for an insert.';
COMMENT ON COLUMN audit_log.after IS 'The row after; NULL for a delete.';
COMMENT ON COLUMN audit_log.actor_id IS 'User that the session acted for; NULL where it acted for nobody.';
COMMENT ON COLUMN audit_log.database_role IS 'Role of the database that the session had.';
COMMENT ON COLUMN audit_log.transaction_id IS 'Transaction that the entry belongs to.';
COMMENT ON COLUMN audit_log.occurred_at IS 'When it was done.';

-- Not forced: the trigger function writes as the owner, whom FORCE would bind to the claims of the session. And
-- a policy for reading alone, so that whatever somebody is granted, no entry can be forged or rewritten.
CREATE POLICY own_entries ON audit_log
    FOR SELECT
    USING (user_id = (SELECT current_app_user()));
COMMENT ON POLICY own_entries ON audit_log IS 'Every role but the owner sees the entries of the user it acts for.';

ALTER TABLE audit_log ENABLE ROW LEVEL SECURITY;
