-- On top of go.sql: 010_class_code is not there

ALTER TABLE classes DROP CONSTRAINT class_code_unique;
