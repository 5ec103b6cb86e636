-- On top of go.sql: four codes used more than once, one of them 1,200 times

UPDATE classes SET class_code = 'DUP9001' WHERE class_id IN (10, 20, 30);
UPDATE classes SET class_code = '<b>"again"</b>' WHERE class_id IN (40, 50);
UPDATE classes SET class_code = 'A code that fills all of the fifty characters here' WHERE class_id IN (60, 70);
UPDATE classes SET class_code = 'SAME9002' WHERE class_id BETWEEN 2001 AND 3200;

-- a class that has the marked code already
UPDATE classes SET class_code = 'DUP9001-DUP-20' WHERE class_id = 80;
