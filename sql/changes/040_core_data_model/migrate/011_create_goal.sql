-- Create the table of goals
-- lock: ShareRowExclusive on cycle
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

-- The tenant in what is unique: else a made-up row would be told (23505, not 23503) what somebody else's cycle has.
CREATE TABLE goal (
    id          uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id     uuid NOT NULL,
    cycle_id    uuid NOT NULL,
    goal_type   goal_type NOT NULL,
    title       text NOT NULL,
    description text NOT NULL DEFAULT '',
    status      goal_status NOT NULL DEFAULT 'active',
    measure     jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT goal_pkey PRIMARY KEY (id),
    CONSTRAINT goal_id_cycle_user_key UNIQUE (id, cycle_id, user_id),
    CONSTRAINT goal_one_per_type_per_cycle UNIQUE (user_id, cycle_id, goal_type),
    CONSTRAINT goal_cycle_fkey FOREIGN KEY (cycle_id, user_id) REFERENCES cycle (id, user_id) ON DELETE CASCADE,
    CONSTRAINT goal_title_length CHECK (char_length(title) BETWEEN 1 AND 200),
    CONSTRAINT goal_description_length CHECK (char_length(description) BETWEEN 0 AND 4000),
    CONSTRAINT goal_measure_object CHECK (jsonb_typeof(measure) = 'object'),
    CONSTRAINT goal_measure_unit CHECK (jsonb_typeof(measure -> 'unit') = 'string'),
    CONSTRAINT goal_measure_target CHECK (jsonb_typeof(measure -> 'target') = 'number')
);

COMMENT ON TABLE goal IS 'What a user wants of one cycle: at most one professional and one personal goal.';
COMMENT ON COLUMN goal.id IS 'Key of the row.';
COMMENT ON COLUMN goal.user_id IS 'Tenant: the user whose row this is.';
COMMENT ON COLUMN goal.cycle_id IS 'Cycle that the goal is for.';
COMMENT ON COLUMN goal.goal_type IS 'Professional or personal.';
COMMENT ON COLUMN goal.title IS 'The goal in one line.';
COMMENT ON COLUMN goal.description IS 'The goal in more words.';
COMMENT ON COLUMN goal.status IS 'What became of the goal.';
COMMENT ON COLUMN goal.measure IS 'How it is measured: unit (text), target (number).';
COMMENT ON COLUMN goal.created_at IS 'When the row was made; nobody can rewrite it.';
COMMENT ON COLUMN goal.updated_at IS 'When the row was last written; a trigger sets it.';

CREATE TRIGGER touch_row
    BEFORE UPDATE ON goal
    FOR EACH ROW EXECUTE FUNCTION touch_row();

CREATE POLICY own_rows ON goal
    USING (user_id = (SELECT current_app_user()))
    WITH CHECK (user_id = (SELECT current_app_user()));
COMMENT ON POLICY own_rows ON goal IS 'Every role sees and writes the rows of the user it acts for, and no others.';

ALTER TABLE goal ENABLE ROW LEVEL SECURITY;
ALTER TABLE goal FORCE ROW LEVEL SECURITY;
