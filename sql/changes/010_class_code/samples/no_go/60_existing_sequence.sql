-- On top of go.sql: a sequence of the same name that counts something else

CREATE SEQUENCE class_code_seq AS integer INCREMENT BY 10 START WITH 1 OWNED BY classes.class_id;
