-- On top of go.sql: three rows without a label

UPDATE example SET label = NULL WHERE id IN (10, 20, 30);
