-- Create the table of chat messages
-- lock: ShareRowExclusive on chat_session
-- hold_budget: 2 s
-- stall_budget: 1 s
-- estimate: 10 ms

CREATE TABLE chat_message (
    id              uuid NOT NULL DEFAULT gen_random_uuid(),
    user_id         uuid NOT NULL,
    chat_session_id uuid NOT NULL,
    role            chat_role NOT NULL,
    content         text NOT NULL,
    metadata        jsonb NOT NULL DEFAULT '{}',
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT chat_message_pkey PRIMARY KEY (id),
    CONSTRAINT chat_message_chat_session_fkey FOREIGN KEY (chat_session_id, user_id) REFERENCES chat_session (id, user_id) ON DELETE CASCADE,
    CONSTRAINT chat_message_content_length CHECK (char_length(content) BETWEEN 1 AND 20000),
    CONSTRAINT chat_message_metadata_object CHECK (jsonb_typeof(metadata) = 'object'),
    CONSTRAINT chat_message_metadata_model CHECK (jsonb_typeof(metadata -> 'model') = 'string'),
    CONSTRAINT chat_message_metadata_tokens CHECK (jsonb_typeof(metadata -> 'tokens') = 'number'),
    CONSTRAINT chat_message_metadata_calls CHECK (jsonb_typeof(metadata -> 'calls') = 'array')
);

CREATE INDEX chat_message_chat_session_idx ON chat_message (user_id, chat_session_id, created_at);

COMMENT ON TABLE chat_message IS 'One message of a chat session.';
COMMENT ON COLUMN chat_message.id IS 'Key of the row.';
COMMENT ON COLUMN chat_message.user_id IS 'Tenant: the user whose row this is.';
COMMENT ON COLUMN chat_message.chat_session_id IS 'Conversation that the message is in.';
COMMENT ON COLUMN chat_message.role IS 'Who says it.';
COMMENT ON COLUMN chat_message.content IS 'What is said.';
COMMENT ON COLUMN chat_message.metadata IS 'How it came about: model (text), tokens (number), calls (array).';
COMMENT ON COLUMN chat_message.created_at IS 'When the row was made; nobody can rewrite it.';
COMMENT ON COLUMN chat_message.updated_at IS 'When the row was last written; a trigger sets it.';

CREATE TRIGGER touch_row
    BEFORE UPDATE ON chat_message
    FOR EACH ROW EXECUTE FUNCTION touch_row();

CREATE POLICY own_rows ON chat_message
    USING (user_id = (SELECT current_app_user()))
    WITH CHECK (user_id = (SELECT current_app_user()));
COMMENT ON POLICY own_rows ON chat_message IS 'Every role sees and writes the rows of the user it acts for, and no others.';

ALTER TABLE chat_message ENABLE ROW LEVEL SECURITY;
ALTER TABLE chat_message FORCE ROW LEVEL SECURITY;
