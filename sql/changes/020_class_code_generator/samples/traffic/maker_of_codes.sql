-- A program that makes up its own code and deletes the class at once: the guard lifts 90-TRAFFIC-RLN- to 7

INSERT INTO classes (class_code, client_id, class_type, class_subject, created_at, updated_at)
VALUES ('90-TRAFFIC-RLN-0007', 90, 'TRAFFIC', 'RLN', timestamp '2025-01-06 08:00', timestamp '2025-01-06 08:00');
DELETE FROM classes WHERE class_code = '90-TRAFFIC-RLN-0007';
