-- On top of go.sql: somebody else's function has our name

CREATE FUNCTION number_message() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
