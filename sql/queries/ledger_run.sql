-- Events of one run in full: time and detail to the letter, as the hash was made of them
SELECT id AS id,
       to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') AS at,
       run_id AS run_id,
       change AS change,
       step AS step,
       kind AS kind,
       actor AS actor,
       detail::text AS detail,
       previous_hash AS previous_hash,
       hash AS hash
  FROM pgrunbook.event
 WHERE run_id = %(run_id)s
 ORDER BY id;
