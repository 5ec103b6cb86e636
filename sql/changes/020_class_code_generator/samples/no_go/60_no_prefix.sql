-- On top of go.sql: classes without a subject, with a dash in it, blank, too long, and one with a line break

UPDATE classes SET class_subject = NULL WHERE class_id BETWEEN 1 AND 20;
UPDATE classes SET class_subject = 'NL-4' WHERE class_id = 21;
UPDATE classes SET class_subject = ' ' WHERE class_id = 22;
UPDATE classes SET class_subject = repeat('x', 50) WHERE class_id = 23;
UPDATE classes SET class_type = E'SO\nFT' WHERE class_id = 24;
