-- Messages in channels and conversations, ready for the change: 20,000, or as many as sample.messages says
-- The same rows on every run: arithmetic only. The first channel has a quarter of all channel messages, most have few.
-- For a million: PGOPTIONS='-c sample.messages=1000000' psql -v ON_ERROR_STOP=1 -f go.sql

CREATE TABLE channels (
    id         uuid PRIMARY KEY,
    name       text NOT NULL,
    created_at timestamptz NOT NULL
);

CREATE TABLE conversations (
    id         uuid PRIMARY KEY,
    created_at timestamptz NOT NULL
);

CREATE TABLE messages (
    id              uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    channel_id      uuid,
    conversation_id uuid,
    author_id       uuid NOT NULL,
    parent_id       uuid,
    sequence        integer NOT NULL,
    content         text NOT NULL,
    search_content  tsvector GENERATED ALWAYS AS (to_tsvector('simple', content)) STORED,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE read_cursors (
    user_id            uuid NOT NULL,
    channel_id         uuid,
    conversation_id    uuid,
    last_read_sequence integer NOT NULL DEFAULT 0,
    updated_at         timestamptz NOT NULL DEFAULT now(),
    UNIQUE (channel_id, user_id),
    UNIQUE (conversation_id, user_id)
);

COMMENT ON COLUMN messages.sequence IS 'Place of the message in its channel or conversation.';
COMMENT ON COLUMN read_cursors.last_read_sequence IS 'Messages with a higher sequence are unread.';

INSERT INTO channels (id, name, created_at)
SELECT md5('channel ' || i)::uuid, 'channel ' || i, timestamptz '2025-01-06 08:00+00'
FROM generate_series(0, greatest(20, coalesce(current_setting('sample.messages', true), '20000')::int / 500)) AS i;

INSERT INTO conversations (id, created_at)
SELECT md5('conversation ' || i)::uuid, timestamptz '2025-01-06 08:00+00'
FROM generate_series(0, greatest(20, coalesce(current_setting('sample.messages', true), '20000')::int / 200)) AS i;

WITH size AS (
    SELECT
        coalesce(current_setting('sample.messages', true), '20000')::int AS messages,
        (SELECT count(*) FROM channels) AS channels,
        (SELECT count(*) FROM conversations) AS conversations
), spread AS (
    SELECT
        k,
        k % 7 < 4 AS in_channel,
        power((k::bigint * 7919 % 100003) / 100003.0, 3) AS share
    FROM size
    CROSS JOIN LATERAL generate_series(1, size.messages) AS k
), placed AS (
    SELECT
        k,
        md5('message ' || k)::uuid AS id,
        CASE WHEN in_channel THEN md5('channel ' || floor(share * channels))::uuid END AS channel_id,
        CASE WHEN NOT in_channel THEN md5('conversation ' || floor(share * conversations))::uuid END AS conversation_id
    FROM spread
    CROSS JOIN size
), numbered AS (
    SELECT
        *,
        row_number() OVER home AS place,
        lag(id, 3) OVER home AS earlier
    FROM placed
    WINDOW home AS (PARTITION BY channel_id, conversation_id ORDER BY k)
)
-- A number is missing after every fortieth message, where somebody deleted one.
INSERT INTO messages (id, channel_id, conversation_id, author_id, parent_id, sequence, content, created_at, updated_at)
SELECT
    id,
    channel_id,
    conversation_id,
    md5('user ' || k % 500)::uuid,
    CASE WHEN k % 11 = 0 THEN earlier END,
    place + (place - 1) / 40,
    'message ' || k || CASE k % 5 WHEN 0 THEN ' <b>&amp; "quoted"</b>' WHEN 1 THEN ' 📚 één' ELSE ' about the plan' END,
    timestamptz '2025-01-06 08:00+00' + k * interval '20 seconds',
    timestamptz '2025-01-06 08:00+00' + k * interval '20 seconds'
FROM numbered;

-- Users who have read as far as one message or another.
INSERT INTO read_cursors (user_id, channel_id, conversation_id, last_read_sequence, updated_at)
SELECT DISTINCT ON (reader, channel_id, conversation_id) reader, channel_id, conversation_id, sequence, created_at
FROM (
    SELECT *, md5('user ' || extract(epoch FROM created_at)::bigint / 20 * 13 % 256)::uuid AS reader FROM messages WHERE sequence % 10 = 3
) AS read
ORDER BY reader, channel_id, conversation_id, sequence DESC;

-- Where rehearsal traffic goes, so that the rest is the same whatever it does.
INSERT INTO channels VALUES (md5('quiet channel')::uuid, 'quiet channel', timestamptz '2025-01-06 08:00+00');
INSERT INTO read_cursors (user_id, channel_id) VALUES (md5('user 1')::uuid, md5('quiet channel')::uuid);

ALTER TABLE messages
    ADD FOREIGN KEY (channel_id) REFERENCES channels,
    ADD FOREIGN KEY (conversation_id) REFERENCES conversations,
    ADD FOREIGN KEY (parent_id) REFERENCES messages;

ALTER TABLE read_cursors
    ADD FOREIGN KEY (channel_id) REFERENCES channels,
    ADD FOREIGN KEY (conversation_id) REFERENCES conversations;

CREATE INDEX messages_channel_seq_idx ON messages (channel_id, sequence);
CREATE INDEX messages_conversation_seq_idx ON messages (conversation_id, sequence);
CREATE INDEX messages_author_idx ON messages (author_id);
CREATE INDEX messages_parent_idx ON messages (parent_id);
CREATE INDEX messages_search_idx ON messages USING gin (search_content);

ANALYZE channels, conversations, messages, read_cursors;
