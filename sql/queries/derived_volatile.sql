-- Those of these functions that may give each row its own value, by their name
SELECT DISTINCT proname::text AS name
  FROM pg_proc
 WHERE proname = ANY (%(names)s) AND provolatile = 'v'
 ORDER BY 1;
