-- What was decided at the gates of a run after an event
SELECT id AS id,
       step AS step,
       hash AS hash,
       detail AS detail
  FROM pgrunbook.event
 WHERE id > %(after)s
   AND run_id = %(run_id)s
   AND kind = 'gate'
 ORDER BY id;
