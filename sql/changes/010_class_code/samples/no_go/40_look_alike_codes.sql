-- On top of go.sql: three spellings of one code

UPDATE classes SET class_code = 'LKE7001' WHERE class_id = 1;
UPDATE classes SET class_code = 'lke7001' WHERE class_id = 2;
UPDATE classes SET class_code = 'LKE7001 ' WHERE class_id = 3;
