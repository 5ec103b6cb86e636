-- Start every counter at the highest number in use
-- lock: AccessShare on classes; RowExclusive on class_code_counters
-- estimate: 12 reads of classes + 10 ms; a pattern is tried on every code; nobody waits

-- The specification took what stands after the last dash: 12-REALLL-RLN-2025-06-25-02-14 gave 14, and in text order
-- 9999 stayed the highest for ever. Here a code counts if exactly three parts and a number make it, and the highest
-- number is the highest, whatever zeros stand before it. Never backwards: the step may be repeated.
INSERT INTO class_code_counters AS counter (prefix, last_number)
SELECT
    left(class_code, -length(split_part(class_code, '-', 4))) AS prefix,
    max(split_part(class_code, '-', 4)::bigint) AS highest
FROM classes
WHERE class_code ~ '^[^-]+-[^-]+-[^-]+-[0-9]{1,18}$'
GROUP BY 1
ORDER BY 1
ON CONFLICT (prefix) DO UPDATE
SET last_number = excluded.last_number
WHERE counter.last_number < excluded.last_number;
