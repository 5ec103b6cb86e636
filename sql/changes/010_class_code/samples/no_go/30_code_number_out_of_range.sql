-- On top of go.sql: a number of 16 digits, and one past the end of bigint

UPDATE classes SET class_code = 'ABC1234567890123456' WHERE class_id = 1;
UPDATE classes SET class_code = 'XYZ9223372036854775808' WHERE class_id = 2;
