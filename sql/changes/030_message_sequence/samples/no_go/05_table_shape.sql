-- On top of go.sql: the number is a bigint

ALTER TABLE messages ALTER COLUMN sequence TYPE bigint;
