-- Number channels with repeated numbers anew, and move the read cursors with them
-- effect: Order and gaps stay: each message gets its place plus the largest lead of a number over its place so far.
--   Nobody has more or fewer unread messages than before.

-- 1,2,2,5,9,9,10 becomes 1,2,3,5,9,10,11. The specification's "sequence + 1" moves one message onto the next
-- number: 1,2,2,3,3,4 needed six rounds. Messages with one number are in the order of time and id.
-- A channel is done from its end: what is above stays in order, repeated numbers are left below, so that batches
-- may be small, and nobody waits for the row of a message or a cursor longer than one batch takes.
-- New numbers never reach those that the guard gives, see migrate/003_fill_message_starts.sql.
WITH size AS (
    SELECT coalesce(nullif(current_setting('pgrunbook.batch', true), '')::int, 1000) AS rows
), here AS (
    -- A hint for the search, no more: where the last batch of this session was.
    SELECT
        coalesce(
            nullif(current_setting('message_sequence.channel', true), '')::uuid, '00000000-0000-0000-0000-000000000000'
        ) AS channel_id
), found AS MATERIALIZED (
    SELECT channel_id
    FROM (
        (
            SELECT channel_id
            FROM messages
            WHERE channel_id >= (SELECT channel_id FROM here)
            GROUP BY channel_id, sequence
            HAVING count(*) > 1
            ORDER BY channel_id, sequence
            LIMIT 50
        )
        UNION ALL
        (
            SELECT channel_id
            FROM messages
            WHERE channel_id < (SELECT channel_id FROM here)
            GROUP BY channel_id, sequence
            HAVING count(*) > 1
            ORDER BY channel_id, sequence
            LIMIT 50
        )
    ) AS everywhere
    LIMIT 50
), chosen AS MATERIALIZED (
    SELECT channel_id, set_config('message_sequence.channel', min(channel_id::text) OVER (), false) AS next_time
    FROM (SELECT DISTINCT channel_id FROM found) AS once
), placed AS (
    -- From the index alone: how many messages have each number, and which place the first of them has.
    SELECT
        chosen.channel_id,
        m.sequence,
        m.members,
        sum(m.members) OVER (PARTITION BY chosen.channel_id ORDER BY m.sequence)::bigint - m.members + 1 AS place
    FROM chosen
    CROSS JOIN LATERAL (
        SELECT sequence, count(*) AS members
        FROM messages
        WHERE channel_id = chosen.channel_id
        GROUP BY sequence
    ) AS m
), targets AS (
    SELECT *, place + max(sequence - place) OVER (PARTITION BY channel_id ORDER BY sequence) AS target
    FROM placed
), last AS MATERIALIZED (
    SELECT channel_id, sequence, target
    FROM targets
    WHERE members > 1 OR target <> sequence
    ORDER BY channel_id, sequence DESC
    LIMIT (SELECT rows FROM size)
), moving AS MATERIALIZED (
    SELECT m.id, last.channel_id, last.sequence, last.target + m.later AS number
    FROM last
    CROSS JOIN LATERAL (
        SELECT id, row_number() OVER (ORDER BY created_at, id) - 1 AS later
        FROM messages
        WHERE channel_id = last.channel_id AND sequence = last.sequence
    ) AS m
    WHERE last.target + m.later <> last.sequence
), waiting AS MATERIALIZED (
    -- Locked first, so that what is moved is what is there, and not what was there when the statement began.
    SELECT c.user_id, part.channel_id, c.last_read_sequence
    FROM (SELECT channel_id, min(sequence) AS lowest FROM moving GROUP BY channel_id) AS part
    CROSS JOIN LATERAL (
        SELECT user_id, last_read_sequence
        FROM read_cursors
        WHERE channel_id = part.channel_id AND last_read_sequence >= part.lowest
        ORDER BY user_id
        FOR NO KEY UPDATE
    ) AS c
), following AS (
    -- A cursor goes with the last message at or below it; one in a gap above that message may stay.
    SELECT
        channel_id,
        user_id,
        at,
        max(number) OVER (PARTITION BY channel_id ORDER BY at, user_id NULLS FIRST ROWS UNBOUNDED PRECEDING) AS number
    FROM (
        SELECT channel_id, NULL::uuid AS user_id, sequence AS at, number FROM moving
        UNION ALL
        SELECT channel_id, user_id, last_read_sequence, NULL FROM waiting
    ) AS line
), messages_to_move AS MATERIALIZED (
    -- As arrays, which the planner takes for short: it looks their rows up, and never reads a table for them.
    SELECT array_agg(id) AS ids, array_agg(channel_id) AS homes, array_agg(sequence) AS olds, array_agg(number) AS news
    FROM moving
), cursors_to_move AS MATERIALIZED (
    SELECT array_agg(user_id) AS users, array_agg(channel_id) AS homes, array_agg(at) AS olds, array_agg(number) AS news
    FROM following
    WHERE number > at AND user_id IS NOT NULL
), moved AS (
    UPDATE messages AS m
    SET sequence = move.new
    FROM messages_to_move AS list
    CROSS JOIN LATERAL unnest(list.ids, list.homes, list.olds, list.news) AS move (id, home, old, new)
    WHERE m.id = move.id AND m.sequence = move.old AND m.channel_id = move.home
    RETURNING m.id, m.channel_id, move.old, m.sequence AS new
), followed AS (
    UPDATE read_cursors AS c
    SET last_read_sequence = move.new
    FROM cursors_to_move AS list
    CROSS JOIN LATERAL unnest(list.users, list.homes, list.olds, list.news) AS move (user_id, home, old, new)
    WHERE c.user_id = move.user_id AND c.channel_id = move.home
    RETURNING c.user_id, c.channel_id, move.old, c.last_read_sequence AS new
)
SELECT
    'messages' AS table_name,
    -- With its home: a message that is moved later has a number of its new one.
    jsonb_build_object('channel_id', channel_id, 'id', id) AS key,
    jsonb_build_object('sequence', old) AS before,
    jsonb_build_object('sequence', new) AS after
FROM moved
UNION ALL
SELECT
    'read_cursors' AS table_name,
    jsonb_build_object('channel_id', channel_id, 'user_id', user_id) AS key,
    jsonb_build_object('last_read_sequence', old) AS before,
    jsonb_build_object('last_read_sequence', new) AS after
FROM followed;
