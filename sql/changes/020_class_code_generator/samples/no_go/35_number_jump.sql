-- On top of go.sql: a date pasted into the number

UPDATE classes SET class_code = '60-REALLL-RLN-20250625' WHERE class_id = 1;
