-- Build the index for searches by prefix
-- transaction: none
-- lock: ShareUpdateExclusive on classes
-- estimate: 12 reads of classes + 50 ms; two reads and a sort, and as long as the oldest open writer
--   or snapshot; reads and writes go on

-- The specification built it with a plain CREATE INDEX, which blocks every writer while it reads the table.
-- IF NOT EXISTS is left out on purpose: it would take the invalid index of a failed build for this one.
CREATE INDEX CONCURRENTLY idx_classes_class_code_pattern ON classes (class_code text_pattern_ops);
