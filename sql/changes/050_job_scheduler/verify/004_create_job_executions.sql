-- Table job_executions is there, as declared
-- effect: More jobs than allowed could run at a time, or nobody could tell what ran.
-- remedy: Compare what differs with migrate/004_create_job_executions.sql before anything else is done.

WITH wanted (kind, name, definition) AS (
    VALUES
        ('column', 'id', 'integer NOT NULL an identity by default'),
        ('column', 'job_id', 'text NOT NULL'),
        ('column', 'parent_job_id', 'text'),
        ('column', 'trigger_type', 'text NOT NULL'),
        ('column', 'status', 'text NOT NULL default ''running''::text'),
        ('column', 'slot', 'integer'),
        ('column', 'worker', 'text NOT NULL default ''''::text'),
        ('column', 'attempt_number', 'integer NOT NULL'),
        ('column', 'started_at', 'timestamp with time zone NOT NULL default clock_timestamp()'),
        ('column', 'lease_until', 'timestamp with time zone NOT NULL'),
        ('column', 'completed_at', 'timestamp with time zone'),
        ('column', 'duration_ms', 'bigint'),
        ('column', 'error_message', 'text'),
        ('column', 'output', 'jsonb'),
        ('constraint', 'job_executions_ended_has_time', 'CHECK (((status = ''running''::text) = (completed_at IS NULL)))'),
        ('constraint', 'job_executions_job_id_fkey', 'FOREIGN KEY (job_id) REFERENCES scheduled_jobs(id) ON DELETE CASCADE'),
        ('constraint', 'job_executions_parent_job_id_fkey', 'FOREIGN KEY (parent_job_id) REFERENCES scheduled_jobs(id) ON DELETE SET NULL'),
        ('constraint', 'job_executions_pkey', 'PRIMARY KEY (id)'),
        ('constraint', 'job_executions_running_has_slot', 'CHECK (((status = ''running''::text) = (slot IS NOT NULL)))'),
        ('constraint', 'job_executions_status_known', 'CHECK ((status = ANY (ARRAY[''running''::text, ''completed''::text, ''failed''::text])))'),
        ('constraint', 'job_executions_trigger_type_known', 'CHECK ((trigger_type = ANY (ARRAY[''scheduled''::text, ''manual''::text, ''retry''::text, ''dependent''::text])))'),
        ('index', 'idx_job_executions_job_started', 'btree (job_id, started_at DESC)'),
        ('index', 'idx_job_executions_output', 'gin (output) WHERE (output IS NOT NULL)'),
        ('index', 'idx_job_executions_parent', 'btree (parent_job_id) WHERE (parent_job_id IS NOT NULL)'),
        ('index', 'idx_job_executions_running', 'unique btree (slot) WHERE (status = ''running''::text)'),
        ('index', 'job_executions_pkey', 'unique btree (id)'),
        ('storage', '', 'a table in WAL options {fillfactor=90}')
), this AS (
    SELECT to_regclass('job_executions')::oid AS oid
), found (kind, name, definition) AS (
    SELECT
        'column',
        a.attname::text,
        concat_ws(
            ' ',
            format_type(a.atttypid, a.atttypmod),
            CASE WHEN a.attnotnull THEN 'NOT NULL' END,
            CASE a.attidentity WHEN 'a' THEN 'always an identity' WHEN 'd' THEN 'an identity by default' END,
            CASE a.attgenerated WHEN '' THEN 'default' ELSE 'generated' END || ' ' || pg_get_expr(d.adbin, d.adrelid),
            CASE WHEN col_description(a.attrelid, a.attnum) IS NULL THEN 'without a comment' END
        )
    FROM this
    JOIN pg_attribute AS a ON a.attrelid = this.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    SELECT
        'constraint',
        c.conname::text,
        -- A time is written in the zone and style of the session that asks.
        concat_ws(
            ' ',
            regexp_replace(pg_get_constraintdef(c.oid), '''[^'']*''::(timestamp with time zone)', 'some \1'),
            CASE WHEN NOT c.convalidated THEN 'not validated' END
        )
    FROM this
    JOIN pg_constraint AS c ON c.conrelid = this.oid
    UNION ALL
    SELECT
        'index',
        x.relname::text,
        concat_ws(
            ' ',
            CASE WHEN i.indisunique THEN 'unique' END,
            substring(pg_get_indexdef(x.oid) FROM ' USING (.*)$'),
            CASE WHEN NOT i.indisvalid THEN 'invalid' END
        )
    FROM this
    JOIN pg_index AS i ON i.indrelid = this.oid
    JOIN pg_class AS x ON x.oid = i.indexrelid
    UNION ALL
    SELECT
        'trigger',
        g.tgname::text,
        concat_ws(
            ' ',
            CASE g.tgtype WHEN 19 THEN 'before update, each row' ELSE 'another kind' END,
            CASE WHEN g.tgfoid = to_regprocedure('update_updated_at_column()') THEN 'update_updated_at_column()' ELSE 'another function' END,
            CASE WHEN g.tgenabled <> 'O' THEN 'not enabled' END
        )
    FROM this
    JOIN pg_trigger AS g ON g.tgrelid = this.oid AND NOT g.tgisinternal
    UNION ALL
    SELECT
        'storage',
        '',
        concat_ws(
            ' ',
            CASE t.relkind WHEN 'r' THEN 'a table' ELSE 'another relation' END,
            CASE t.relpersistence WHEN 'p' THEN 'in WAL' ELSE 'not in WAL' END,
            'options ' || t.reloptions::text,
            CASE WHEN t.relrowsecurity THEN 'row security' END
        )
    FROM this
    JOIN pg_class AS t ON t.oid = this.oid
)
SELECT
    btrim(wanted.kind || ' ' || wanted.name) AS object,
    wanted.definition AS expected,
    coalesce(found.definition, 'missing') AS found
FROM wanted
LEFT JOIN found ON found.kind = wanted.kind AND found.name = wanted.name
WHERE found.definition IS DISTINCT FROM wanted.definition
ORDER BY object;
