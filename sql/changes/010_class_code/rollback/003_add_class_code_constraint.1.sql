-- Build a second unique index, so that codes stay unique without the constraint
-- transaction: none
-- lock: ShareUpdateExclusive on classes
-- estimate: 12 reads of classes + 50 ms

-- Dropping the constraint drops its index with it, and DROP INDEX alone is refused (2BP01).
CREATE UNIQUE INDEX CONCURRENTLY idx_classes_class_code_unique ON classes (class_code);
