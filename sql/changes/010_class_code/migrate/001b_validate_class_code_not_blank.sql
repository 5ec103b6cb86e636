-- Prove that no blank class code is left
-- lock: ShareUpdateExclusive on classes
-- estimate: 2 reads of classes + 10 ms; reads and writes go on

ALTER TABLE classes VALIDATE CONSTRAINT class_code_not_blank;
