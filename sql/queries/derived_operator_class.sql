-- Operator classes of a name whose equality is not that of their type's default: GROUP BY would not see what they see
SELECT format_type(c.opcintype, NULL) AS type
  FROM pg_opclass AS c
  JOIN pg_am AS m ON m.oid = c.opcmethod AND m.amname = 'btree'
  JOIN pg_amop AS o ON o.amopfamily = c.opcfamily AND o.amopstrategy = 3 AND o.amoplefttype = c.opcintype AND o.amoprighttype = c.opcintype
 WHERE c.opcname = %(name)s
   AND NOT EXISTS (SELECT
                     FROM pg_opclass AS d
                     JOIN pg_amop AS e ON e.amopfamily = d.opcfamily AND e.amopstrategy = 3 AND e.amopopr = o.amopopr
                    WHERE d.opcmethod = c.opcmethod AND d.opcdefault)
 ORDER BY 1;
