-- Steps of a change as the ledger knows them
SELECT s.step AS step,
       s.status AS status,
       s.script_sha256 AS script_sha256,
       s.run_id AS run_id,
       to_char(s.started_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"') AS started_at,
       to_char(s.finished_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"') AS finished_at,
       s.seconds AS seconds,
       s.detail AS detail,
       'system ' || r.system_identifier || ', timeline ' || r.timeline AS cluster
  FROM pgrunbook.step AS s
  JOIN pgrunbook.run AS r USING (run_id)
 WHERE s.change = %(change)s
 ORDER BY s.step;
