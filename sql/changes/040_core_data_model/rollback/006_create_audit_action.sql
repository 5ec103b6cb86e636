-- Drop the enumeration audit_action
-- lock: none
-- estimate: 10 ms

DROP TYPE IF EXISTS audit_action;
