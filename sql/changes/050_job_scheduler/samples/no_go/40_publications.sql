-- On top of go.sql: a warehouse subscribes to whatever there is

CREATE PUBLICATION warehouse FOR ALL TABLES;
