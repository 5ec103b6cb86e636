-- The schemas that names are looked up in here; in a clone "$user" would be another role
SELECT coalesce(string_agg(quote_ident(h.schema), ', ' ORDER BY h.number), '') AS path
  FROM unnest(current_schemas(false)) WITH ORDINALITY AS h (schema, number);
