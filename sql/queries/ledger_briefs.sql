-- Events of all runs, of one change or of all, with no more of their detail than a list of runs tells
SELECT e.run_id AS run_id,
       to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') AS at,
       e.change AS change,
       e.step AS step,
       e.kind AS kind,
       e.actor AS actor,
       CASE WHEN jsonb_typeof(e.detail) = 'object' THEN (
           SELECT coalesce(jsonb_object_agg(d.key, d.value), '{}')
             FROM jsonb_each(e.detail) AS d
            WHERE d.key = ANY (%(keys)s::text[])) ELSE e.detail END AS detail
  FROM pgrunbook.event AS e
 WHERE %(change)s::text IS NULL OR e.change = %(change)s
 ORDER BY e.id;
