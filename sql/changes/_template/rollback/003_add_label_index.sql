-- Drop the index, finished or not
-- transaction: none
-- lock: ShareUpdateExclusive on example

DROP INDEX CONCURRENTLY IF EXISTS idx_example_label;
