-- The columns that a foreign key refers to, where no unique index that could serve it is on exactly them
SELECT t.oid::regclass::text AS "table",
       coalesce(array_to_string(%(columns)s::text[], ', '), 'its primary key') AS columns,
       'no unique index' AS found
  FROM pg_class AS t
 WHERE t.oid = to_regclass(%(table)s)
   AND NOT EXISTS (
       SELECT
         FROM pg_index AS i
        WHERE i.indrelid = t.oid
          AND i.indisunique
          AND i.indisvalid
          AND i.indimmediate
          AND i.indpred IS NULL
          AND i.indexprs IS NULL
          AND (i.indisprimary OR %(columns)s::text[] IS NOT NULL)
          AND (%(columns)s::text[] IS NULL
               OR (SELECT array_agg(a.attname::text ORDER BY a.attname::text)
                     FROM unnest(i.indkey::int2[]) WITH ORDINALITY AS k (attnum, position)
                     JOIN pg_attribute AS a ON a.attrelid = t.oid AND a.attnum = k.attnum
                    WHERE k.position <= i.indnkeyatts)
                  = (SELECT array_agg(c ORDER BY c) FROM unnest(%(columns)s::text[]) AS c)));
