-- Table vision is there, as declared
-- effect: Rows could break the rules that the application relies on, or be seen by another tenant.
-- remedy: Compare what differs with migrate/009_create_vision.sql before anything else is done.

WITH wanted (kind, name, definition) AS (
    VALUES
        ('column', 'id', 'uuid NOT NULL default gen_random_uuid()'),
        ('column', 'user_id', 'uuid NOT NULL'),
        ('column', 'title', 'text NOT NULL'),
        ('column', 'body', 'text NOT NULL'),
        ('column', 'horizon_years', 'smallint NOT NULL default 3'),
        ('column', 'details', 'jsonb NOT NULL default ''{}''::jsonb'),
        ('column', 'created_at', 'timestamp with time zone NOT NULL default now()'),
        ('column', 'updated_at', 'timestamp with time zone NOT NULL default now()'),
        ('constraint', 'vision_title_length', 'CHECK (((char_length(title) >= 1) AND (char_length(title) <= 200)))'),
        ('constraint', 'vision_body_length', 'CHECK (((char_length(body) >= 1) AND (char_length(body) <= 10000)))'),
        ('constraint', 'vision_horizon_years_range', 'CHECK (((horizon_years >= 1) AND (horizon_years <= 30)))'),
        ('constraint', 'vision_details_object', 'CHECK ((jsonb_typeof(details) = ''object''::text))'),
        ('constraint', 'vision_details_areas', 'CHECK ((jsonb_typeof((details -> ''areas''::text)) = ''array''::text))'),
        ('constraint', 'vision_details_reason', 'CHECK ((jsonb_typeof((details -> ''reason''::text)) = ''string''::text))'),
        ('constraint', 'vision_pkey', 'PRIMARY KEY (id)'),
        ('constraint', 'vision_id_user_key', 'UNIQUE (id, user_id)'),
        ('index', 'vision_user_idx', 'btree (user_id, created_at)'),
        ('trigger', 'touch_row', 'before update, each row touch_row()'),
        ('policy', 'own_rows', 'for all to everybody using (user_id = ( SELECT current_app_user() AS current_app_user)) with check (user_id = ( SELECT current_app_user() AS current_app_user))'),
        ('row security', '', 'enabled, forced')
), this AS (
    SELECT to_regclass('vision')::oid AS oid
), found (kind, name, definition) AS (
    SELECT
        'column',
        a.attname::text,
        concat_ws(
            ' ',
            format_type(a.atttypid, a.atttypmod),
            CASE WHEN a.attnotnull THEN 'NOT NULL' END,
            CASE a.attidentity WHEN 'a' THEN 'always an identity' END,
            CASE a.attgenerated WHEN 's' THEN 'generated' ELSE 'default' END || ' ' || pg_get_expr(d.adbin, d.adrelid),
            CASE WHEN col_description(a.attrelid, a.attnum) IS NULL THEN 'without a comment' END
        )
    FROM this
    JOIN pg_attribute AS a ON a.attrelid = this.oid AND a.attnum > 0 AND NOT a.attisdropped
    LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
    UNION ALL
    SELECT
        'constraint',
        c.conname::text,
        concat_ws(' ', pg_get_constraintdef(c.oid), CASE WHEN NOT c.convalidated THEN 'not validated' END)
    FROM this
    JOIN pg_constraint AS c ON c.conrelid = this.oid
    UNION ALL
    SELECT
        'index',
        x.relname::text,
        concat_ws(' ', substring(pg_get_indexdef(x.oid) FROM ' USING (.*)$'), CASE WHEN NOT i.indisvalid THEN 'invalid' END)
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
            CASE WHEN g.tgfoid = to_regprocedure('touch_row()') THEN 'touch_row()' ELSE 'another function' END,
            CASE WHEN g.tgenabled <> 'O' THEN 'not enabled' END
        )
    FROM this
    JOIN pg_trigger AS g ON g.tgrelid = this.oid AND g.tgname = 'touch_row'
    UNION ALL
    SELECT
        'policy',
        p.polname::text,
        concat_ws(
            ' ',
            CASE p.polcmd WHEN '*' THEN 'for all' WHEN 'r' THEN 'for select' ELSE p.polcmd::text END,
            CASE WHEN p.polroles = '{0}' THEN 'to everybody' ELSE 'to some' END,
            'using ' || pg_get_expr(p.polqual, p.polrelid),
            'with check ' || pg_get_expr(p.polwithcheck, p.polrelid)
        )
    FROM this
    JOIN pg_policy AS p ON p.polrelid = this.oid
    UNION ALL
    SELECT 'row security', '', concat_ws(', ', CASE WHEN t.relrowsecurity THEN 'enabled' END, CASE WHEN t.relforcerowsecurity THEN 'forced' END)
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
-- A policy more would let more rows through.
UNION ALL
SELECT 'policy ' || found.name, 'none', found.definition
FROM found
WHERE found.kind = 'policy' AND NOT EXISTS (SELECT FROM wanted WHERE wanted.kind = 'policy' AND wanted.name = found.name)
ORDER BY object;
