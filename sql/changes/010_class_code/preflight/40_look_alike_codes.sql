-- Class codes that differ in case or outer blanks only
-- effect: They stay different codes for PostgreSQL, and the unique constraint will allow both.
-- remedy: Ask the owner of the data whether they are the same class; correct them by hand if so.
-- severity: warn

WITH folded AS (
    SELECT
        lower(regexp_replace(class_code, '^\s+|\s+$', '', 'g')) AS looks_like,
        class_code,
        min(class_id) AS class_id
    FROM classes
    WHERE class_code ~ '\S'
    GROUP BY class_code
), numbered AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY looks_like ORDER BY class_id) AS position,
        count(*) OVER (PARTITION BY looks_like) AS variants
    FROM folded
)
SELECT
    looks_like AS looks_like,
    variants AS variants,
    string_agg(to_json(class_code)::text, ', ' ORDER BY class_id) FILTER (WHERE position <= 10) AS class_codes,
    string_agg(class_id::text, ', ' ORDER BY class_id) FILTER (WHERE position <= 10) AS class_ids
FROM numbered
WHERE variants > 1
GROUP BY looks_like, variants
ORDER BY variants DESC, looks_like COLLATE "C";
