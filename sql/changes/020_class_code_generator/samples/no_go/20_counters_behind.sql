-- On top of go.sql: three counters that a restored backup has set back, and two prefixes that nobody counts

CREATE TABLE class_code_counters (
    prefix      text COLLATE "C" PRIMARY KEY,
    last_number bigint NOT NULL CHECK (last_number >= 0)
) WITH (fillfactor = 50);

INSERT INTO class_code_counters (prefix, last_number)
SELECT parts[1], max(parts[2]::bigint)
FROM classes CROSS JOIN LATERAL regexp_match(class_code, '^([^-]+-[^-]+-[^-]+-)([0-9]{1,18})$') AS parts
WHERE parts IS NOT NULL
GROUP BY parts[1];

UPDATE class_code_counters SET last_number = 9999 WHERE prefix = '60-REALLL-RLN-';
UPDATE class_code_counters SET last_number = 0 WHERE prefix IN ('62-100%-X-', '66-Ténis & ☕-x"y-');
DELETE FROM class_code_counters WHERE prefix IN ('61-REALLL-RLN-', '62-A_B-X-');
