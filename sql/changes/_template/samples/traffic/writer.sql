-- A user who saves the note of one row

UPDATE example SET note = 'saved by rehearsal traffic' WHERE id = 1;
