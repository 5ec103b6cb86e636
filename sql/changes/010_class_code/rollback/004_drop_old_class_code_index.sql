-- Build the old index again
-- transaction: none
-- lock: ShareUpdateExclusive on classes

CREATE INDEX CONCURRENTLY idx_classes_class_code ON classes (class_code);
