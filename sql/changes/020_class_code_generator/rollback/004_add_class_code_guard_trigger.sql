-- Guard class codes no longer
-- lock: AccessExclusive on classes
-- estimate: 10 ms

DROP TRIGGER IF EXISTS class_code_guard ON classes;
