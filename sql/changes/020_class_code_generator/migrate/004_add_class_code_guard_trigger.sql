-- Guard every class code from now on
-- lock: ShareRowExclusive on classes
-- estimate: 10 ms; whatever the size, no row is read

-- Before the counters are filled: CREATE TRIGGER waits for every writer, and each that comes after it lifts its
-- counter itself, so that no code slips in between.
CREATE OR REPLACE TRIGGER class_code_guard
BEFORE INSERT OR UPDATE OF class_code ON classes
FOR EACH ROW EXECUTE FUNCTION guard_class_code();

COMMENT ON TRIGGER class_code_guard ON classes IS
    'Class codes never change, and one that was made up lifts its counter.';
