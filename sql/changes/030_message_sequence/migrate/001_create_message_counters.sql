-- Create the counters that will number messages
-- lock: none
-- estimate: 10 ms

-- A home is the channel or the conversation that a message is in. The number of a message is the start of its
-- home plus what the counter of the home says: the counters begin with the guard of step 002, the starts are
-- found while it counts, in step 003. So nobody has to wait while a million messages are read.
-- Half-empty pages keep the updates of one counter on its page, without a word to the index (HOT).
CREATE TABLE message_counters (
    home_id uuid PRIMARY KEY,
    counted bigint NOT NULL
) WITH (fillfactor = 50);

CREATE TABLE message_starts (
    home_id uuid PRIMARY KEY,
    start   bigint NOT NULL
);

COMMENT ON TABLE message_counters IS
    'Messages that trigger zz_number_message has counted in each channel or conversation.';
COMMENT ON TABLE message_starts IS
    'Number that the count of a channel or conversation begins after; the row of 7d1f0a4e-93b6-4c58-8e21-d05c6fa4b7e3 is for new ones.';
