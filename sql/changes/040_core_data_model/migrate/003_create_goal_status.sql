-- Create the enumeration goal_status
-- lock: none
-- estimate: 10 ms

CREATE TYPE goal_status AS ENUM ('active', 'achieved', 'missed', 'dropped');

COMMENT ON TYPE goal_status IS 'What became of a goal.';
