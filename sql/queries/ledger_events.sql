-- Events of one run or one change, of one kind or all, in order
SELECT id AS id,
       to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at,
       run_id AS run_id,
       change AS change,
       step AS step,
       kind AS kind,
       actor AS actor,
       detail AS detail,
       hash AS hash
  FROM pgrunbook.event
 WHERE (%(run_id)s::text IS NULL OR run_id = %(run_id)s)
   AND (%(change)s::text IS NULL OR change = %(change)s)
   AND (%(kind)s::text IS NULL OR kind = %(kind)s)
 ORDER BY id;
