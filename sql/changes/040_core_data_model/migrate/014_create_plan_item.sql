-- Create the table of plan items
-- lock: ShareRowExclusive on task; ShareRowExclusive on weekly_plan
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

-- Both foreign keys carry the cycle: an item cannot put a task of one cycle into a week of another.
CREATE TABLE plan_item (
    id             uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id        uuid NOT NULL,
    cycle_id       uuid NOT NULL,
    weekly_plan_id uuid NOT NULL,
    task_id        uuid NOT NULL,
    quota          smallint NOT NULL,
    done           smallint NOT NULL DEFAULT 0,
    status         plan_item_status NOT NULL DEFAULT 'planned',
    note           text NOT NULL DEFAULT '',
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT plan_item_pkey PRIMARY KEY (id),
    CONSTRAINT plan_item_one_per_task_per_week UNIQUE (user_id, weekly_plan_id, task_id),
    CONSTRAINT plan_item_weekly_plan_fkey FOREIGN KEY (weekly_plan_id, cycle_id, user_id) REFERENCES weekly_plan (id, cycle_id, user_id) ON DELETE CASCADE,
    CONSTRAINT plan_item_task_fkey FOREIGN KEY (task_id, cycle_id, user_id) REFERENCES task (id, cycle_id, user_id) ON DELETE CASCADE,
    CONSTRAINT plan_item_quota_range CHECK (quota BETWEEN 0 AND 100),
    CONSTRAINT plan_item_done_range CHECK (done BETWEEN 0 AND 1000),
    CONSTRAINT plan_item_note_length CHECK (char_length(note) BETWEEN 0 AND 2000)
);

CREATE INDEX plan_item_weekly_plan_idx ON plan_item (user_id, cycle_id, weekly_plan_id);
CREATE INDEX plan_item_task_idx ON plan_item (user_id, task_id);

COMMENT ON TABLE plan_item IS 'One task in one week: how often it is to be done, and how often it was.';
COMMENT ON COLUMN plan_item.id IS 'Key of the row.';
COMMENT ON COLUMN plan_item.user_id IS 'Tenant: the user whose row this is.';
COMMENT ON COLUMN plan_item.cycle_id IS 'Cycle of the week and of the task.';
COMMENT ON COLUMN plan_item.weekly_plan_id IS 'Week that the item is planned for.';
COMMENT ON COLUMN plan_item.task_id IS 'Task that is to be done.';
COMMENT ON COLUMN plan_item.quota IS 'How often it is to be done; locked in weeks 7 to 12 of a cycle with lock_enforced.';
COMMENT ON COLUMN plan_item.done IS 'How often it was done; never locked.';
COMMENT ON COLUMN plan_item.status IS 'What became of it; never locked.';
COMMENT ON COLUMN plan_item.note IS 'Anything the user wants to say about it; never locked.';
COMMENT ON COLUMN plan_item.created_at IS 'When the row was made; nobody can rewrite it.';
COMMENT ON COLUMN plan_item.updated_at IS 'When the row was last written; a trigger sets it.';

CREATE TRIGGER touch_row
    BEFORE UPDATE ON plan_item
    FOR EACH ROW EXECUTE FUNCTION touch_row();

CREATE POLICY own_rows ON plan_item
    USING (user_id = (SELECT current_app_user()))
    WITH CHECK (user_id = (SELECT current_app_user()));
COMMENT ON POLICY own_rows ON plan_item IS 'Every role sees and writes the rows of the user it acts for, and no others.';

ALTER TABLE plan_item ENABLE ROW LEVEL SECURITY;
ALTER TABLE plan_item FORCE ROW LEVEL SECURITY;
