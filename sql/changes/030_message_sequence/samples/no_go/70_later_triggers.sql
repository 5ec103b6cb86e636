-- On top of go.sql: a trigger that numbers messages its own way, after ours

CREATE FUNCTION number_by_maximum() RETURNS trigger LANGUAGE plpgsql AS $body$
BEGIN
    NEW.sequence := (SELECT coalesce(max(sequence), 0) + 1 FROM messages WHERE channel_id = NEW.channel_id);
    RETURN NEW;
END
$body$;

CREATE TRIGGER zzz_number_by_maximum
    BEFORE INSERT ON messages
    FOR EACH ROW WHEN (NEW.channel_id IS NOT NULL) EXECUTE FUNCTION number_by_maximum();
