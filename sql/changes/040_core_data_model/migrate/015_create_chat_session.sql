-- Create the table of chat sessions
-- lock: ShareRowExclusive on cycle
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

CREATE TABLE chat_session (
    id         uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id    uuid NOT NULL,
    cycle_id   uuid,
    title      text NOT NULL DEFAULT '',
    context    jsonb NOT NULL DEFAULT '{}',
    ended_at   timestamptz,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT chat_session_pkey PRIMARY KEY (id),
    CONSTRAINT chat_session_id_user_key UNIQUE (id, user_id),
    CONSTRAINT chat_session_cycle_fkey FOREIGN KEY (cycle_id, user_id) REFERENCES cycle (id, user_id) ON DELETE SET NULL (cycle_id),
    CONSTRAINT chat_session_title_length CHECK (char_length(title) BETWEEN 0 AND 200),
    CONSTRAINT chat_session_context_object CHECK (jsonb_typeof(context) = 'object'),
    CONSTRAINT chat_session_context_page CHECK (jsonb_typeof(context -> 'page') = 'string'),
    CONSTRAINT chat_session_context_week CHECK (jsonb_typeof(context -> 'week') = 'number')
);

CREATE INDEX chat_session_user_idx ON chat_session (user_id, created_at);
CREATE INDEX chat_session_cycle_idx ON chat_session (user_id, cycle_id);

COMMENT ON TABLE chat_session IS 'A conversation of a user with the assistant.';
COMMENT ON COLUMN chat_session.id IS 'Key of the row.';
COMMENT ON COLUMN chat_session.user_id IS 'Tenant: the user whose row this is.';
COMMENT ON COLUMN chat_session.cycle_id IS 'Cycle that is talked about; NULL where there is none, or where it was deleted.';
COMMENT ON COLUMN chat_session.title IS 'Name of the conversation.';
COMMENT ON COLUMN chat_session.context IS 'What the assistant was given: page (text), week (number).';
COMMENT ON COLUMN chat_session.ended_at IS 'When the user closed it; NULL while it is open.';
COMMENT ON COLUMN chat_session.created_at IS 'When the row was made; nobody can rewrite it.';
COMMENT ON COLUMN chat_session.updated_at IS 'When the row was last written; a trigger sets it.';

CREATE TRIGGER touch_row
    BEFORE UPDATE ON chat_session
    FOR EACH ROW EXECUTE FUNCTION touch_row();

CREATE POLICY own_rows ON chat_session
    USING (user_id = (SELECT current_app_user()))
    WITH CHECK (user_id = (SELECT current_app_user()));
COMMENT ON POLICY own_rows ON chat_session IS 'Every role sees and writes the rows of the user it acts for, and no others.';

ALTER TABLE chat_session ENABLE ROW LEVEL SECURITY;
ALTER TABLE chat_session FORCE ROW LEVEL SECURITY;
