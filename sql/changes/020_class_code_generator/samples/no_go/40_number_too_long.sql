-- On top of go.sql: a number of 19 digits, and one past the end of bigint

UPDATE classes SET class_code = '60-REALLL-RLN-1234567890123456789' WHERE class_id = 1;
UPDATE classes SET class_code = '60-REALLL-RLN-99999999999999999999' WHERE class_id = 2;
