-- Build the index for lookups by label
-- transaction: none
-- lock: ShareUpdateExclusive on example
-- estimate: 12 reads of example + 50 ms; two reads and a sort; reads and writes go on

CREATE INDEX CONCURRENTLY idx_example_label ON example (label);
