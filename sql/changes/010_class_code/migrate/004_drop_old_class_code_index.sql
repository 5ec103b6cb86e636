-- Drop the old index, which the unique one replaces
-- transaction: none
-- lock: ShareUpdateExclusive on classes
-- estimate: 50 ms; and as long as the oldest transaction that uses classes; reads and writes go on

-- The specification dropped it first and without CONCURRENTLY: everybody queues behind that DROP.
DROP INDEX CONCURRENTLY IF EXISTS idx_classes_class_code;
