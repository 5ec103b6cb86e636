-- Table scheduled_jobs is there, as declared
-- effect: Jobs could break the rules that the functions rely on, or finding the next one would read them all.
-- remedy: Compare what differs with migrate/003_create_scheduled_jobs.sql before anything else is done.

WITH wanted (kind, name, definition) AS (
    VALUES
        ('column', 'id', 'text NOT NULL'),
        ('column', 'job_type', 'text NOT NULL'),
        ('column', 'user_id', 'bigint'),
        ('column', 'priority', 'text NOT NULL default ''medium''::text'),
        ('column', 'frequency_type', 'text NOT NULL'),
        ('column', 'frequency_config', 'jsonb NOT NULL default ''{}''::jsonb'),
        ('column', 'parameters', 'jsonb NOT NULL default ''{}''::jsonb'),
        ('column', 'enabled', 'boolean NOT NULL default true'),
        ('column', 'status', 'text NOT NULL default ''pending''::text'),
        ('column', 'scheduled_for', 'timestamp with time zone'),
        ('column', 'due_at', 'timestamp with time zone'),
        ('column', 'started_at', 'timestamp with time zone'),
        ('column', 'completed_at', 'timestamp with time zone'),
        ('column', 'error_count', 'integer NOT NULL default 0'),
        ('column', 'last_error', 'text'),
        ('column', 'max_retries', 'integer'),
        ('column', 'retry_base_seconds', 'integer'),
        ('column', 'triggered_by', 'text'),
        ('column', 'created_at', 'timestamp with time zone NOT NULL default now()'),
        ('column', 'updated_at', 'timestamp with time zone NOT NULL default now()'),
        ('constraint', 'scheduled_jobs_frequency_type_known', 'CHECK ((frequency_type = ANY (ARRAY[''weekly''::text, ''daily''::text, ''every_n_hours''::text, ''once''::text])))'),
        ('constraint', 'scheduled_jobs_id_not_empty', 'CHECK ((id <> ''''::text))'),
        ('constraint', 'scheduled_jobs_job_type_known', 'CHECK ((job_type = ANY (ARRAY[''weekly_generation''::text, ''auto_sync''::text, ''daily_advisor''::text, ''weekly_trends''::text])))'),
        ('constraint', 'scheduled_jobs_parameters_object', 'CHECK ((jsonb_typeof(parameters) = ''object''::text))'),
        ('constraint', 'scheduled_jobs_pending_has_time', 'CHECK (((status <> ''pending''::text) OR (scheduled_for IS NOT NULL)))'),
        ('constraint', 'scheduled_jobs_pkey', 'PRIMARY KEY (id)'),
        ('constraint', 'scheduled_jobs_priority_known', 'CHECK ((priority = ANY (ARRAY[''critical''::text, ''high''::text, ''medium''::text, ''low''::text])))'),
        ('constraint', 'scheduled_jobs_retries_range', 'CHECK (((max_retries >= 0) AND (retry_base_seconds >= 0)))'),
        ('constraint', 'scheduled_jobs_schedule_valid', 'CHECK (((frequency_type = ''once''::text) OR (calculate_next_schedule(frequency_type, frequency_config, some timestamp with time zone) IS NOT NULL)))'),
        ('constraint', 'scheduled_jobs_scheduled_for_finite', 'CHECK (isfinite(scheduled_for))'),
        ('constraint', 'scheduled_jobs_status_known', 'CHECK ((status = ANY (ARRAY[''pending''::text, ''running''::text, ''completed''::text, ''failed''::text])))'),
        ('index', 'idx_scheduled_jobs_frequency_config', 'gin (frequency_config)'),
        ('index', 'idx_scheduled_jobs_job_type', 'btree (job_type)'),
        ('index', 'idx_scheduled_jobs_parameters', 'gin (parameters)'),
        ('index', 'idx_scheduled_jobs_status_priority', 'btree (priority, scheduled_for) WHERE (enabled = true)'),
        ('index', 'idx_scheduled_jobs_user_id', 'btree (user_id) WHERE (user_id IS NOT NULL)'),
        ('index', 'scheduled_jobs_pkey', 'unique btree (id)'),
        ('trigger', 'update_scheduled_jobs_updated_at', 'before update, each row update_updated_at_column()'),
        ('storage', '', 'a table in WAL options {fillfactor=70,autovacuum_vacuum_scale_factor=0.01}')
), this AS (
    SELECT to_regclass('scheduled_jobs')::oid AS oid
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
