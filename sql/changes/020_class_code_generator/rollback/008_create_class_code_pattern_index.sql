-- Drop the index, finished or not
-- transaction: none
-- lock: ShareUpdateExclusive on classes
-- estimate: 50 ms

DROP INDEX CONCURRENTLY IF EXISTS idx_classes_class_code_pattern;
