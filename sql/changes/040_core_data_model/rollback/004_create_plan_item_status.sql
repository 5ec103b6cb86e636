-- Drop the enumeration plan_item_status
-- lock: none
-- estimate: 10 ms

DROP TYPE IF EXISTS plan_item_status;
