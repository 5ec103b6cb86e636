-- Classes that next_class_code can make no code for
-- effect: None for the steps; whoever asks for a code of such a class gets 22004 or 22023.
-- remedy: Correct these classes before they need a code; no part may be missing, have outer blanks, or hold a dash.
-- severity: warn

WITH part AS (
    SELECT
        class_id,
        class_code,
        named.name,
        CASE
            WHEN named.part IS NULL THEN 'missing'
            WHEN named.part !~ '\S' THEN 'blank'
            WHEN named.part ~ '[[:cntrl:]]' THEN 'a control character'
            WHEN named.part ~ '^\s|\s$' THEN 'outer blanks'
            WHEN named.part ~ '-' THEN 'a dash'
            WHEN named.name = 'client_id'
                AND length(concat_ws('-', client_id, class_type, class_subject)) > 45 THEN 'too long together'
        END AS fault
    FROM classes
    CROSS JOIN LATERAL (
        VALUES ('client_id', client_id::text), ('class_type', class_type), ('class_subject', class_subject)
    ) AS named (name, part)
), numbered AS (
    SELECT
        *,
        row_number() OVER (PARTITION BY name, fault ORDER BY class_id) AS position
    FROM part
    WHERE fault IS NOT NULL
)
SELECT
    name AS name,
    fault AS fault,
    count(*) AS classes,
    count(*) FILTER (WHERE class_code IS NULL) AS without_code,
    string_agg(class_id::text, ', ' ORDER BY class_id) FILTER (WHERE position <= 10)
        || CASE WHEN count(*) > 10 THEN ', ...' ELSE '' END AS class_ids
FROM numbered
GROUP BY name, fault
ORDER BY name, fault COLLATE "C";
