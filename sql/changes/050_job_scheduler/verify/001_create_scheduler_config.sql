-- Table scheduler_config is there, as declared
-- effect: Jobs would run by other rules, or more than one row could say which.
-- remedy: Compare what differs with migrate/001_create_scheduler_config.sql before anything else is done.

WITH wanted (kind, name, definition) AS (
    VALUES
        ('column', 'id', 'integer NOT NULL default 1'),
        ('column', 'enabled', 'boolean NOT NULL default true'),
        ('column', 'max_concurrent_jobs', 'integer NOT NULL default 5'),
        ('column', 'timezone', 'text NOT NULL default ''UTC''::text'),
        ('column', 'lease_seconds', 'integer NOT NULL default 300'),
        ('column', 'default_max_retries', 'integer NOT NULL default 3'),
        ('column', 'default_retry_base_seconds', 'integer NOT NULL default 60'),
        ('column', 'retry_cap_seconds', 'integer NOT NULL default 3600'),
        ('column', 'retry_jitter', 'real NOT NULL default 0'),
        ('column', 'created_at', 'timestamp with time zone NOT NULL default now()'),
        ('column', 'updated_at', 'timestamp with time zone NOT NULL default now()'),
        ('constraint', 'scheduler_config_default_max_retries_range', 'CHECK (((default_max_retries >= 0) AND (default_max_retries <= 100)))'),
        ('constraint', 'scheduler_config_default_retry_base_seconds_range', 'CHECK (((default_retry_base_seconds >= 0) AND (default_retry_base_seconds <= 86400)))'),
        ('constraint', 'scheduler_config_lease_seconds_range', 'CHECK (((lease_seconds >= 1) AND (lease_seconds <= 86400)))'),
        ('constraint', 'scheduler_config_max_concurrent_jobs_range', 'CHECK (((max_concurrent_jobs >= 0) AND (max_concurrent_jobs <= 1000)))'),
        ('constraint', 'scheduler_config_one_row', 'CHECK ((id = 1))'),
        ('constraint', 'scheduler_config_pkey', 'PRIMARY KEY (id)'),
        ('constraint', 'scheduler_config_retry_cap_seconds_range', 'CHECK (((retry_cap_seconds >= 0) AND (retry_cap_seconds <= 604800)))'),
        ('constraint', 'scheduler_config_retry_jitter_range', 'CHECK (((retry_jitter >= (0)::double precision) AND (retry_jitter <= (1)::double precision)))'),
        ('constraint', 'scheduler_config_timezone_named', 'CHECK ((timezone ~ ''^[A-Za-z_]+(-[A-Za-z]+)?(/[A-Za-z0-9_+-]+)*$''::text))'),
        ('constraint', 'scheduler_config_timezone_known', 'CHECK (((some timestamp with time zone AT TIME ZONE timezone) IS NOT NULL))'),
        ('index', 'scheduler_config_pkey', 'unique btree (id)'),
        ('trigger', 'update_scheduler_config_updated_at', 'before update, each row update_updated_at_column()'),
        ('storage', '', 'a table in WAL')
), this AS (
    SELECT to_regclass('scheduler_config')::oid AS oid
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
