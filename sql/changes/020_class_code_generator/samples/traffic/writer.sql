-- A user who saves the notes of one class

UPDATE classes SET class_notes = 'saved by rehearsal traffic' WHERE class_id = 1;
