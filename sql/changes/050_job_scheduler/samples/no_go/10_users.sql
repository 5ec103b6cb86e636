-- On top of go.sql: users have UUIDs

DROP TABLE users CASCADE;
CREATE TABLE users (
    id    uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    email text NOT NULL UNIQUE
);
