-- Drop the index, finished or not
-- transaction: none
-- lock: ShareUpdateExclusive on example
-- estimate: 50 ms

DROP INDEX CONCURRENTLY IF EXISTS idx_example_label;
