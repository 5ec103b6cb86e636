-- Events in order, with the text that each hash was made of
SELECT id AS id,
       previous_hash AS previous_hash,
       hash AS hash,
       jsonb_build_array(previous_hash, id, to_char(at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'),
                         run_id, change, step, kind, actor, detail)::text AS text
  FROM pgrunbook.event
 ORDER BY id;
