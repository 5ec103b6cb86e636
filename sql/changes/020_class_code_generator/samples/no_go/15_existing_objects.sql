-- On top of go.sql: a table, a function and a trigger of the same names that do something else

CREATE TABLE class_code_counters (prefix varchar(40) PRIMARY KEY, next_number integer);

CREATE FUNCTION next_class_code(client text, type text, subject text)
RETURNS text
LANGUAGE sql
RETURN client || '-' || type || '-' || subject || '-' || to_char(now(), 'YYYY-MM-DD-HH24-MI');

CREATE FUNCTION next_class_codes(how_many integer) RETURNS integer LANGUAGE sql RETURN how_many;

CREATE FUNCTION touch_class() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.updated_at := now();
    RETURN NEW;
END
$$;

CREATE TRIGGER class_code_guard BEFORE UPDATE ON classes FOR EACH ROW EXECUTE FUNCTION touch_class();
