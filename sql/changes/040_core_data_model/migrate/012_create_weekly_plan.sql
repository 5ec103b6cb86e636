-- Create the table of weekly plans
-- lock: ShareRowExclusive on cycle
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

CREATE TABLE weekly_plan (
    id          uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id     uuid NOT NULL,
    cycle_id    uuid NOT NULL,
    week_number smallint NOT NULL,
    focus       text NOT NULL DEFAULT '',
    review      jsonb NOT NULL DEFAULT '{}',
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT weekly_plan_pkey PRIMARY KEY (id),
    CONSTRAINT weekly_plan_id_cycle_user_key UNIQUE (id, cycle_id, user_id),
    CONSTRAINT weekly_plan_one_per_week UNIQUE (user_id, cycle_id, week_number),
    CONSTRAINT weekly_plan_cycle_fkey FOREIGN KEY (cycle_id, user_id) REFERENCES cycle (id, user_id) ON DELETE CASCADE,
    CONSTRAINT weekly_plan_week_number_range CHECK (week_number BETWEEN 1 AND 12),
    CONSTRAINT weekly_plan_focus_length CHECK (char_length(focus) BETWEEN 0 AND 2000),
    CONSTRAINT weekly_plan_review_object CHECK (jsonb_typeof(review) = 'object'),
    CONSTRAINT weekly_plan_review_score CHECK (jsonb_typeof(review -> 'score') = 'number'),
    CONSTRAINT weekly_plan_review_wins CHECK (jsonb_typeof(review -> 'wins') = 'array'),
    CONSTRAINT weekly_plan_review_lesson CHECK (jsonb_typeof(review -> 'lesson') = 'string')
);

COMMENT ON TABLE weekly_plan IS 'One week of a cycle.';
COMMENT ON COLUMN weekly_plan.id IS 'Key of the row.';
COMMENT ON COLUMN weekly_plan.user_id IS 'Tenant: the user whose row this is.';
COMMENT ON COLUMN weekly_plan.cycle_id IS 'Cycle that the week is of.';
COMMENT ON COLUMN weekly_plan.week_number IS 'Week of the cycle, 1 to 12.';
COMMENT ON COLUMN weekly_plan.focus IS 'What the week is about.';
COMMENT ON COLUMN weekly_plan.review IS 'Looking back at the week: score (number), wins (array of texts), lesson (text).';
COMMENT ON COLUMN weekly_plan.created_at IS 'When the row was made; nobody can rewrite it.';
COMMENT ON COLUMN weekly_plan.updated_at IS 'When the row was last written; a trigger sets it.';

CREATE TRIGGER touch_row
    BEFORE UPDATE ON weekly_plan
    FOR EACH ROW EXECUTE FUNCTION touch_row();

CREATE POLICY own_rows ON weekly_plan
    USING (user_id = (SELECT current_app_user()))
    WITH CHECK (user_id = (SELECT current_app_user()));
COMMENT ON POLICY own_rows ON weekly_plan IS 'Every role sees and writes the rows of the user it acts for, and no others.';

ALTER TABLE weekly_plan ENABLE ROW LEVEL SECURITY;
ALTER TABLE weekly_plan FORCE ROW LEVEL SECURITY;
