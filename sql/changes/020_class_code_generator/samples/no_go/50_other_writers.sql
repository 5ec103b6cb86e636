-- On top of go.sql: a default, a trigger and a function that make up codes

ALTER TABLE classes ALTER COLUMN class_code SET DEFAULT 'NEW' || nextval('class_code_seq');

CREATE FUNCTION number_class() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.class_code := coalesce(NEW.class_code, (SELECT max(class_code) || '1' FROM classes));
    RETURN NEW;
END
$$;

CREATE TRIGGER number_class BEFORE INSERT ON classes FOR EACH ROW EXECUTE FUNCTION number_class();

CREATE PROCEDURE import_class(code text) LANGUAGE sql AS $$
    INSERT INTO classes (class_code, client_id, class_type, class_subject, created_at, updated_at)
    VALUES (code, 1, 'SOFT', 'RLN', now(), now());
$$;
