-- What stands against a DROP: objects that depend on what it drops, and objects that it is part of
WITH RECURSIVE seed (classid, objid, objsubid) AS (
    SELECT * FROM unnest(%(classes)s::oid[], %(objects)s::oid[], %(parts)s::int[])
), going (classid, objid, objsubid) AS (
    SELECT * FROM seed
     UNION
    -- These go silently with it.
    SELECT d.classid, d.objid, d.objsubid
      FROM going AS g
      JOIN pg_depend AS d ON d.refclassid = g.classid AND d.refobjid = g.objid AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid)
     WHERE d.deptype IN ('a', 'i', 'P', 'S')
), gone (classid, objid, objsubid) AS (
    SELECT * FROM going
     UNION
    SELECT * FROM unnest(%(gone_classes)s::oid[], %(gone_objects)s::oid[], %(gone_parts)s::int[])
     UNION
    SELECT d.classid, d.objid, d.objsubid
      FROM gone AS g
      JOIN pg_depend AS d ON d.refclassid = g.classid AND d.refobjid = g.objid AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid)
     WHERE d.deptype IN ('a', 'i', 'P', 'S')
), found AS (
    SELECT CASE WHEN d.classid = 'pg_rewrite'::regclass
                THEN pg_describe_object('pg_class'::regclass, (SELECT w.ev_class FROM pg_rewrite AS w WHERE w.oid = d.objid), 0)
                ELSE pg_describe_object(d.classid, d.objid, d.objsubid) END AS object,
           'depends on ' || pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid) AS why
      FROM going AS g
      JOIN pg_depend AS d ON d.refclassid = g.classid AND d.refobjid = g.objid AND (g.objsubid = 0 OR d.refobjsubid = g.objsubid)
     WHERE d.deptype = 'n'
       AND NOT EXISTS (SELECT FROM gone AS x WHERE x.classid = d.classid AND x.objid = d.objid AND x.objsubid IN (0, d.objsubid))
       AND NOT EXISTS (SELECT FROM pg_rewrite AS w JOIN gone AS x ON x.classid = 'pg_class'::regclass AND x.objid = w.ev_class
                        WHERE d.classid = 'pg_rewrite'::regclass AND w.oid = d.objid)
    UNION
    SELECT pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid),
           'requires ' || pg_describe_object(d.classid, d.objid, d.objsubid)
      FROM seed AS s
      JOIN pg_depend AS d ON d.classid = s.classid AND d.objid = s.objid AND d.objsubid = s.objsubid
     WHERE d.deptype IN ('i', 'e', 'P')
       AND NOT EXISTS (SELECT FROM gone AS x WHERE x.classid = d.refclassid AND x.objid = d.refobjid AND x.objsubid IN (0, d.refobjsubid))
)
SELECT object AS object,
       string_agg(why, '; ' ORDER BY why) AS why
  FROM found
 GROUP BY object
 ORDER BY 1;
