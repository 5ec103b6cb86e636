-- Create the enumeration goal_type
-- lock: none
-- estimate: 10 ms

CREATE TYPE goal_type AS ENUM ('professional', 'personal');

COMMENT ON TYPE goal_type IS 'The two goals that a cycle may have: one of each.';
