-- Build the unique index beside live traffic
-- transaction: none
-- lock: ShareUpdateExclusive on classes
-- estimate: 12 reads of classes + 50 ms; two reads and a sort, and as long as the oldest open writer
--   or snapshot; reads and writes go on

-- Serves DB-02 and DB-03.
-- The specification's index was partial (class_code <> ''), and a partial index cannot become a constraint (42809).
-- It dropped the old index first, which blocks everybody and leaves lookups without an index: 004 does it last.
-- IF NOT EXISTS is left out on purpose: it would take the invalid index of a failed build for this one.
CREATE UNIQUE INDEX CONCURRENTLY idx_classes_class_code_unique ON classes (class_code);
