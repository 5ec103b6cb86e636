-- How large and how busy tables are, since the server counts
SELECT c.oid::regclass::text AS "table",
       'ShareRowExclusive' AS lock,
       greatest(c.reltuples, 0)::bigint AS rows_about,
       pg_size_pretty(pg_table_size(c.oid)) AS size,
       coalesce(s.n_tup_ins + s.n_tup_upd + s.n_tup_del, 0) AS rows_written,
       coalesce(s.seq_scan, 0) + coalesce(s.idx_scan, 0) AS scans
  FROM unnest(%(tables)s::text[]) WITH ORDINALITY AS w (name, position)
  JOIN pg_class AS c ON c.oid = to_regclass(w.name)
  LEFT JOIN pg_stat_all_tables AS s ON s.relid = c.oid
 ORDER BY w.position;
