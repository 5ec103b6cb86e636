-- On top of go.sql: another application has a type, a function and a table of these names

CREATE TYPE goal_type AS ENUM ('work', 'life');
CREATE FUNCTION touch_row() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.touched := now(); RETURN NEW; END $$;
CREATE TABLE task (task_id integer PRIMARY KEY, label text);
