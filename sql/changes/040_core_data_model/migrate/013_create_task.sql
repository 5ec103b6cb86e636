-- Create the table of tasks
-- lock: ShareRowExclusive on goal
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

CREATE TABLE task (
    id           uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id      uuid NOT NULL,
    cycle_id     uuid NOT NULL,
    goal_id      uuid NOT NULL,
    title        text NOT NULL,
    notes        text NOT NULL DEFAULT '',
    weekly_quota smallint NOT NULL DEFAULT 1,
    is_archived  boolean NOT NULL DEFAULT false,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT task_pkey PRIMARY KEY (id),
    CONSTRAINT task_id_cycle_user_key UNIQUE (id, cycle_id, user_id),
    CONSTRAINT task_goal_fkey FOREIGN KEY (goal_id, cycle_id, user_id) REFERENCES goal (id, cycle_id, user_id) ON DELETE CASCADE,
    CONSTRAINT task_title_length CHECK (char_length(title) BETWEEN 1 AND 200),
    CONSTRAINT task_notes_length CHECK (char_length(notes) BETWEEN 0 AND 4000),
    CONSTRAINT task_weekly_quota_range CHECK (weekly_quota BETWEEN 1 AND 100)
);

CREATE INDEX task_goal_idx ON task (user_id, cycle_id, goal_id);

COMMENT ON TABLE task IS 'What a user does every week for a goal.';
COMMENT ON COLUMN task.id IS 'Key of the row.';
COMMENT ON COLUMN task.user_id IS 'Tenant: the user whose row this is.';
COMMENT ON COLUMN task.cycle_id IS 'Cycle of the goal.';
COMMENT ON COLUMN task.goal_id IS 'Goal that the task serves.';
COMMENT ON COLUMN task.title IS 'The task in one line.';
COMMENT ON COLUMN task.notes IS 'Anything the user wants to remember of it.';
COMMENT ON COLUMN task.weekly_quota IS 'How often a week, as a rule; plan_item.quota is what counts.';
COMMENT ON COLUMN task.is_archived IS 'Whether new weeks leave the task out.';
COMMENT ON COLUMN task.created_at IS 'When the row was made; nobody can rewrite it.';
COMMENT ON COLUMN task.updated_at IS 'When the row was last written; a trigger sets it.';

CREATE TRIGGER touch_row
    BEFORE UPDATE ON task
    FOR EACH ROW EXECUTE FUNCTION touch_row();

CREATE POLICY own_rows ON task
    USING (user_id = (SELECT current_app_user()))
    WITH CHECK (user_id = (SELECT current_app_user()));
COMMENT ON POLICY own_rows ON task IS 'Every role sees and writes the rows of the user it acts for, and no others.';

ALTER TABLE task ENABLE ROW LEVEL SECURITY;
ALTER TABLE task FORCE ROW LEVEL SECURITY;
