-- On top of go.sql: a code that fits no known shape

UPDATE classes SET class_code = '!no shape' WHERE class_id = 1;
