-- Objects that use a column and keep its type from being changed: views, rules, policies, triggers, generated columns
SELECT DISTINCT CASE WHEN d.classid = 'pg_rewrite'::regclass
            THEN pg_describe_object('pg_class'::regclass, (SELECT w.ev_class FROM pg_rewrite AS w WHERE w.oid = d.objid), 0)
            ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END AS object
  FROM pg_depend AS d
  JOIN pg_attribute AS a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
 WHERE d.refclassid = 'pg_class'::regclass
   AND d.refobjid = to_regclass(%(table)s)
   AND a.attname = %(column)s
   AND (d.classid IN ('pg_rewrite'::regclass, 'pg_policy'::regclass, 'pg_trigger'::regclass, 'pg_proc'::regclass, 'pg_publication_rel'::regclass)
        OR EXISTS (SELECT
                     FROM pg_attrdef AS f
                     JOIN pg_attribute AS g ON g.attrelid = f.adrelid AND g.attnum = f.adnum
                    WHERE d.classid = 'pg_attrdef'::regclass AND f.oid = d.objid AND g.attgenerated <> '' AND f.adnum <> a.attnum))
 ORDER BY 1;
