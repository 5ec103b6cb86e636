-- On top of go.sql: the code is a padded char(50)

ALTER TABLE classes ALTER COLUMN class_code TYPE char(50);
