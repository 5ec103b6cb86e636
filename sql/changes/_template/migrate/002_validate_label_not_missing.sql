-- Prove that every row has a label
-- lock: ShareUpdateExclusive on example
-- estimate: 2 reads of example + 10 ms; reads and writes go on

ALTER TABLE example VALIDATE CONSTRAINT example_label_present;
