-- Build the index for lookups by label
-- transaction: none
-- lock: ShareUpdateExclusive on example
-- estimate: two reads of the table and one sort; reads and writes go on

CREATE INDEX CONCURRENTLY idx_example_label ON example (label);
