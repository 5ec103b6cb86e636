-- Scripts that the ledger keeps, of those asked for
SELECT sha256 AS sha256,
       content AS content
  FROM pgrunbook.script
 WHERE sha256 = ANY (%(sha256)s::text[]);
