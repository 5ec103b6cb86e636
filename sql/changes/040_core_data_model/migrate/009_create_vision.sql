-- Create the table of visions
-- lock: none
-- estimate: 10 ms

-- The key (id, user_id) is what children refer to: a foreign key is checked beside row security, so that a plain
-- one would take the id of somebody else's row.
CREATE TABLE vision (
    id            uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id       uuid NOT NULL,
    title         text NOT NULL,
    body          text NOT NULL,
    horizon_years smallint NOT NULL DEFAULT 3,
    details       jsonb NOT NULL DEFAULT '{}',
    created_at    timestamptz NOT NULL DEFAULT now(),
    updated_at    timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT vision_pkey PRIMARY KEY (id),
    CONSTRAINT vision_id_user_key UNIQUE (id, user_id),
    CONSTRAINT vision_title_length CHECK (char_length(title) BETWEEN 1 AND 200),
    CONSTRAINT vision_body_length CHECK (char_length(body) BETWEEN 1 AND 10000),
    CONSTRAINT vision_horizon_years_range CHECK (horizon_years BETWEEN 1 AND 30),
    CONSTRAINT vision_details_object CHECK (jsonb_typeof(details) = 'object'),
    CONSTRAINT vision_details_areas CHECK (jsonb_typeof(details -> 'areas') = 'array'),
    CONSTRAINT vision_details_reason CHECK (jsonb_typeof(details -> 'reason') = 'string')
);

CREATE INDEX vision_user_idx ON vision (user_id, created_at);

COMMENT ON TABLE vision IS 'What a user wants to become of the years ahead: the text that cycles are planned from.';
COMMENT ON COLUMN vision.id IS 'Key of the row.';
COMMENT ON COLUMN vision.user_id IS 'Tenant: the user whose row this is.';
COMMENT ON COLUMN vision.title IS 'Name of the vision.';
COMMENT ON COLUMN vision.body IS 'The vision in the user''s own words.';
COMMENT ON COLUMN vision.horizon_years IS 'How many years ahead it looks.';
COMMENT ON COLUMN vision.details IS 'What the application keeps beside it: areas (array of texts), reason (text).';
COMMENT ON COLUMN vision.created_at IS 'When the row was made; nobody can rewrite it.';
COMMENT ON COLUMN vision.updated_at IS 'When the row was last written; a trigger sets it.';

CREATE TRIGGER touch_row
    BEFORE UPDATE ON vision
    FOR EACH ROW EXECUTE FUNCTION touch_row();

-- Policies first: a table with row security and without a policy shows nothing, one without it shows all. FORCE
-- binds the owner too. The sub-select is evaluated once a statement, not once a row.
CREATE POLICY own_rows ON vision
    USING (user_id = (SELECT current_app_user()))
    WITH CHECK (user_id = (SELECT current_app_user()));
COMMENT ON POLICY own_rows ON vision IS 'Every role sees and writes the rows of the user it acts for, and no others.';

ALTER TABLE vision ENABLE ROW LEVEL SECURITY;
ALTER TABLE vision FORCE ROW LEVEL SECURITY;
