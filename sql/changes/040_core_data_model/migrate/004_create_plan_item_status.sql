-- Create the enumeration plan_item_status
-- lock: none
-- estimate: 10 ms

CREATE TYPE plan_item_status AS ENUM ('planned', 'in_progress', 'completed', 'skipped');

COMMENT ON TYPE plan_item_status IS 'What became of a task in one week.';
