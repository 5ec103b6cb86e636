-- On top of go.sql: every update of a message notes the time

CREATE FUNCTION note_update() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    NEW.updated_at := clock_timestamp();
    RETURN NEW;
END
$body$;

CREATE TRIGGER messages_note_update
    BEFORE UPDATE ON messages
    FOR EACH ROW EXECUTE FUNCTION note_update();
