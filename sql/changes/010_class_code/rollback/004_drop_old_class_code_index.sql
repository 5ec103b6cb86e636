-- Build the old index again
-- transaction: none
-- lock: ShareUpdateExclusive on classes
-- estimate: 12 reads of classes + 50 ms

CREATE INDEX CONCURRENTLY idx_classes_class_code ON classes (class_code);
