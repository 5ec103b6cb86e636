-- Sessions by their pids, in words for people: who they are and what they are at
SELECT a.pid AS pid,
       coalesce(a.usename::text, '') AS role,
       coalesce(a.application_name, '') AS application,
       coalesce(a.state, 'state hidden') AS state,
       coalesce(to_char(coalesce(a.xact_start, a.query_start) AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS "UTC"'), 'hidden') AS since,
       coalesce(a.query, '') AS statement
  FROM pg_stat_activity AS a
 WHERE a.pid = ANY (%(pids)s)
 ORDER BY 1;
