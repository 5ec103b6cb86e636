-- On top of go.sql: a counter that somebody has lifted, and one for a prefix without a class

CREATE TABLE class_code_counters (
    prefix      text COLLATE "C" PRIMARY KEY,
    last_number bigint NOT NULL CHECK (last_number >= 0)
) WITH (fillfactor = 50);

INSERT INTO class_code_counters (prefix, last_number)
SELECT parts[1], max(parts[2]::bigint)
FROM classes CROSS JOIN LATERAL regexp_match(class_code, '^([^-]+-[^-]+-[^-]+-)([0-9]{1,18})$') AS parts
WHERE parts IS NOT NULL
GROUP BY parts[1];

UPDATE class_code_counters SET last_number = 250000 WHERE prefix = '61-REALLL-RLN-';
INSERT INTO class_code_counters (prefix, last_number) VALUES ('67-REALLL-RLN-', 5000);
