-- Index builds that run in this database now
SELECT p.pid AS pid,
       p.relid::regclass::text AS relation,
       p.index_relid::regclass::text AS index,
       p.phase AS phase,
       CASE WHEN p.tuples_total > 0 THEN p.tuples_done WHEN p.blocks_total > 0 THEN p.blocks_done ELSE p.lockers_done END AS done,
       CASE WHEN p.tuples_total > 0 THEN p.tuples_total WHEN p.blocks_total > 0 THEN p.blocks_total ELSE p.lockers_total END AS total,
       p.blocks_done AS blocks_done,
       p.blocks_total AS blocks_total,
       p.tuples_done AS tuples_done,
       p.tuples_total AS tuples_total,
       p.lockers_done AS lockers_done,
       p.lockers_total AS lockers_total,
       nullif(p.current_locker_pid, 0)::int AS waits_for
  FROM pg_stat_progress_create_index AS p
 WHERE p.datname = current_database()
 ORDER BY p.pid;
