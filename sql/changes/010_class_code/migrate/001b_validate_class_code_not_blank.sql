-- Prove that no blank class code is left
-- lock: ShareUpdateExclusive on classes
-- estimate: one read of classes, about 2 s per 10 million rows; reads and writes go on

ALTER TABLE classes VALIDATE CONSTRAINT class_code_not_blank;
