-- An entry of a run's journal is told to the ledger once, whatever becomes of the connection that tells it

CREATE UNIQUE INDEX event_told_once ON pgrunbook.event (run_id, (detail ->> 'journal_entry'))
    WHERE detail ? 'journal_entry';

INSERT INTO pgrunbook.version (version) VALUES (2);
