-- Runs that the ledger knows, of one change or of all, in the order in which they began
SELECT e.run_id AS run_id,
       min(e.change) AS change,
       min(e.id) AS first_event,
       max(e.id) AS last_event,
       count(*) AS events
  FROM pgrunbook.event AS e
 WHERE %(change)s::text IS NULL OR e.change = %(change)s
 GROUP BY e.run_id
 ORDER BY min(e.id);
