-- Every function and procedure, with the SQLSTATEs that its text names; those of extensions are left out
SELECT f.oid::regproc::text AS name,
       f.oid::regprocedure::text AS signature,
       coalesce(pg_get_function_result(f.oid), '') AS returns,
       l.lanname::text AS language,
       f.prosecdef AS definer,
       ARRAY(SELECT DISTINCT m[1] COLLATE "C"
               FROM regexp_matches(f.prosrc, '(?:errcode|sqlstate)\s*(?:=|:=|)\s*''([0-9A-Z]{5})''', 'gi') AS m
              ORDER BY 1) AS sqlstates,
       f.prosrc AS text,
       ARRAY(SELECT CASE x.grantee WHEN 0 THEN 'public' ELSE quote_ident(pg_get_userbyid(x.grantee)) END AS grantee
               FROM aclexplode(coalesce(f.proacl, acldefault('f', f.proowner))) AS x
              WHERE x.grantee <> f.proowner
              ORDER BY 1) AS executors,
       coalesce(obj_description(f.oid, 'pg_proc'), '') AS comment
  FROM pg_proc AS f
  JOIN pg_namespace AS n ON n.oid = f.pronamespace
  JOIN pg_language AS l ON l.oid = f.prolang
 WHERE n.nspname <> 'information_schema' AND n.nspname <> 'pgrunbook' AND n.nspname !~ '^pg_'
   AND NOT EXISTS (SELECT FROM pg_depend AS d
                    WHERE d.classid = 'pg_proc'::regclass AND d.objid = f.oid AND d.deptype = 'e')
 ORDER BY f.oid::regprocedure::text COLLATE "C";
