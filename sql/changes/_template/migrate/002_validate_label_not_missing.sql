-- Prove that every row has a label
-- lock: ShareUpdateExclusive on example
-- estimate: one read of the table; reads and writes go on

ALTER TABLE example VALIDATE CONSTRAINT example_label_present;
