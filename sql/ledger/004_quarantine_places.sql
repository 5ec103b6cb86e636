-- What a remedy replaced goes back into the table that it came from, whatever the search_path says by then

-- Without a default no row is written: the lock on the quarantine, which nobody but a runner uses, is held for
-- milliseconds. Rows that are there keep NULL: they go back into the one table of their name, and where there are
-- several, undo asks for the schema.
ALTER TABLE pgrunbook.quarantine
    ADD COLUMN table_schema text,
    ADD COLUMN table_oid oid,
    ADD COLUMN json_nulls jsonb;
COMMENT ON COLUMN pgrunbook.quarantine.table_schema IS 'Schema of the table when it was repaired; NULL in rows of earlier versions.';
COMMENT ON COLUMN pgrunbook.quarantine.table_oid IS 'The table itself: one that was dropped and made anew since gets nothing back. NULL: whichever has the name.';
COMMENT ON COLUMN pgrunbook.quarantine.json_nulls IS 'Columns of before and of after that hold the null of JSON, and not NULL.';

INSERT INTO pgrunbook.version (version) VALUES (4);
