-- Create the table of cycles
-- lock: ShareRowExclusive on vision
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

CREATE TABLE cycle (
    id            uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id       uuid NOT NULL,
    vision_id     uuid NOT NULL,
    title         text NOT NULL,
    status        cycle_status NOT NULL DEFAULT 'draft',
    starts_on     date NOT NULL,
    ends_on       date NOT NULL GENERATED ALWAYS AS (starts_on + 83) STORED,
    lock_enforced boolean NOT NULL DEFAULT false,
    settings      jsonb NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT cycle_pkey PRIMARY KEY (id),
    CONSTRAINT cycle_id_user_key UNIQUE (id, user_id),
    CONSTRAINT cycle_vision_fkey FOREIGN KEY (vision_id, user_id) REFERENCES vision (id, user_id) ON DELETE RESTRICT,
    CONSTRAINT cycle_title_length CHECK (char_length(title) BETWEEN 1 AND 200),
    CONSTRAINT cycle_starts_on_finite CHECK (isfinite(starts_on)),
    CONSTRAINT cycle_settings_object CHECK (jsonb_typeof(settings) = 'object'),
    CONSTRAINT cycle_settings_timezone CHECK (jsonb_typeof(settings -> 'timezone') = 'string'),
    CONSTRAINT cycle_settings_review_day CHECK (jsonb_typeof(settings -> 'review_day') = 'number')
);

CREATE INDEX cycle_user_idx ON cycle (user_id, starts_on);
CREATE INDEX cycle_vision_idx ON cycle (user_id, vision_id);

COMMENT ON TABLE cycle IS 'Twelve weeks that a user plans at once; weeks 7 to 12 can be locked.';
COMMENT ON COLUMN cycle.id IS 'Key of the row.';
COMMENT ON COLUMN cycle.user_id IS 'Tenant: the user whose row this is.';
COMMENT ON COLUMN cycle.vision_id IS 'Vision that the cycle works towards.';
COMMENT ON COLUMN cycle.title IS 'Name of the cycle.';
COMMENT ON COLUMN cycle.status IS 'How far the cycle is.';
COMMENT ON COLUMN cycle.starts_on IS 'First day of week 1.';
COMMENT ON COLUMN cycle.ends_on IS 'Last day of week 12.';
COMMENT ON COLUMN cycle.lock_enforced IS 'Whether quotas of weeks 7 to 12 are locked; only a member of lock_admin can take it back.';
COMMENT ON COLUMN cycle.settings IS 'Choices of the user: timezone (text), review_day (number).';
COMMENT ON COLUMN cycle.created_at IS 'When the row was made; nobody can rewrite it.';
COMMENT ON COLUMN cycle.updated_at IS 'When the row was last written; a trigger sets it.';

CREATE TRIGGER touch_row
    BEFORE UPDATE ON cycle
    FOR EACH ROW EXECUTE FUNCTION touch_row();

CREATE POLICY own_rows ON cycle
    USING (user_id = (SELECT current_app_user()))
    WITH CHECK (user_id = (SELECT current_app_user()));
COMMENT ON POLICY own_rows ON cycle IS 'Every role sees and writes the rows of the user it acts for, and no others.';

ALTER TABLE cycle ENABLE ROW LEVEL SECURITY;
ALTER TABLE cycle FORCE ROW LEVEL SECURITY;
