-- How the sequence that is there differs from one that was made just now
SELECT fact.of AS of, fact.expected AS expected, fact.found AS found
  FROM pg_sequence AS f
  JOIN pg_sequence AS e ON e.seqrelid = to_regclass(%(expected)s)
 CROSS JOIN LATERAL (
       VALUES (1, 'type', format_type(e.seqtypid, NULL), format_type(f.seqtypid, NULL)),
              (2, 'start', e.seqstart::text, f.seqstart::text),
              (3, 'increment', e.seqincrement::text, f.seqincrement::text),
              (4, 'minimum', e.seqmin::text, f.seqmin::text),
              (5, 'maximum', e.seqmax::text, f.seqmax::text),
              (6, 'cache', e.seqcache::text, f.seqcache::text),
              (7, 'cycle', e.seqcycle::text, f.seqcycle::text)
       ) AS fact (position, of, expected, found)
 WHERE f.seqrelid = %(found)s::bigint::oid
   AND fact.found IS DISTINCT FROM fact.expected
 ORDER BY fact.position;
