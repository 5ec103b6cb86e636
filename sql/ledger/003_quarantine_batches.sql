-- What one batch of a remedy replaced goes back together, and a row that is repaired again is found by its key

ALTER TABLE pgrunbook.quarantine ADD COLUMN batch xid8;
ALTER TABLE pgrunbook.quarantine ALTER COLUMN batch SET DEFAULT pg_current_xact_id();
COMMENT ON COLUMN pgrunbook.quarantine.batch IS 'The transaction that replaced it.';

CREATE INDEX quarantine_key ON pgrunbook.quarantine USING hash (key) WHERE undone_at IS NULL;

INSERT INTO pgrunbook.version (version) VALUES (3);
