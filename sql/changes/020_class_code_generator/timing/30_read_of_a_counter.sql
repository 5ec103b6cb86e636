-- Read one counter, which is what the guard adds to an insert
-- expect: median < 1 ms; rows 1

SELECT max(last_number) AS last_number
FROM class_code_counters
WHERE prefix = class_code_prefix('18', 'SKILLS', 'BA2');
