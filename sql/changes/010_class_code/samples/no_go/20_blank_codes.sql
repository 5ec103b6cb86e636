-- On top of go.sql: empty codes and codes of white space

UPDATE classes SET class_code = '' WHERE class_id BETWEEN 101 AND 1300;
UPDATE classes SET class_code = '   ' WHERE class_id IN (1401, 1402);
UPDATE classes SET class_code = E'\t\n' WHERE class_id = 1403;
