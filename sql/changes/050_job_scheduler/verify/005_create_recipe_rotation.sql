-- Table recipe_rotation is there, as declared
-- effect: A recipe could be counted twice, or the question for the cooldown would read them all.
-- remedy: Compare what differs with migrate/005_create_recipe_rotation.sql before anything else is done.

WITH wanted (kind, name, definition) AS (
    VALUES
        ('column', 'id', 'bigint NOT NULL an identity by default'),
        ('column', 'user_id', 'bigint NOT NULL'),
        ('column', 'recipe_id', 'text NOT NULL'),
        ('column', 'meal_type', 'text NOT NULL'),
        ('column', 'last_used_date', 'date NOT NULL'),
        ('column', 'use_count', 'integer NOT NULL default 1'),
        ('column', 'created_at', 'timestamp with time zone NOT NULL default now()'),
        ('column', 'updated_at', 'timestamp with time zone NOT NULL default now()'),
        ('constraint', 'recipe_rotation_last_used_date_finite', 'CHECK (isfinite(last_used_date))'),
        ('constraint', 'recipe_rotation_meal_type_known', 'CHECK ((meal_type = ANY (ARRAY[''breakfast''::text, ''lunch''::text, ''dinner''::text, ''snack''::text])))'),
        ('constraint', 'recipe_rotation_pkey', 'PRIMARY KEY (id)'),
        ('constraint', 'recipe_rotation_recipe_id_length', 'CHECK (((char_length(recipe_id) >= 1) AND (char_length(recipe_id) <= 200)))'),
        ('constraint', 'recipe_rotation_use_count_range', 'CHECK ((use_count >= 1))'),
        ('constraint', 'recipe_rotation_user_recipe_meal_key', 'UNIQUE (user_id, recipe_id, meal_type)'),
        ('index', 'idx_recipe_rotation_date', 'btree (last_used_date)'),
        ('index', 'idx_recipe_rotation_last_used', 'btree (user_id, meal_type, last_used_date DESC) INCLUDE (recipe_id)'),
        ('index', 'idx_recipe_rotation_recipe', 'btree (recipe_id)'),
        ('index', 'recipe_rotation_pkey', 'unique btree (id)'),
        ('index', 'recipe_rotation_user_recipe_meal_key', 'unique btree (user_id, recipe_id, meal_type)'),
        ('trigger', 'update_recipe_rotation_updated_at', 'before update, each row update_updated_at_column()'),
        ('storage', '', 'a table in WAL')
), this AS (
    SELECT to_regclass('recipe_rotation')::oid AS oid
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
