-- On top of go.sql: the old index is partial and packed

DROP INDEX idx_classes_class_code;
CREATE INDEX idx_classes_class_code ON classes (class_code) WITH (fillfactor = 70) WHERE class_code IS NOT NULL;
