-- Two users, Ada and Ben, with rows in every table: after the change, any number of times
-- Ada's cycle is locked, Ben's is not. The audit log is written by the triggers alone.

-- The same keys on every run, and such that everybody takes them for random ones (version 4).
CREATE OR REPLACE FUNCTION pg_temp.sample_id(label text) RETURNS uuid
    LANGUAGE sql IMMUTABLE
    RETURN overlay(overlay(md5(label) PLACING '4' FROM 13) PLACING 'a' FROM 17)::uuid;

-- The owner is bound by row security like everybody else: he acts for one user after the other. What is there
-- already is left alone, and not even offered: the guard of a locked week would refuse it before any conflict.
DO $sample$
DECLARE
    who text;
BEGIN
    FOREACH who IN ARRAY ARRAY['ada', 'ben'] LOOP
        PERFORM set_config('app.user_id', pg_temp.sample_id(who)::text, true);

        INSERT INTO vision (id, user_id, title, body, horizon_years, details)
        VALUES (
            pg_temp.sample_id(who || ' vision'),
            current_app_user(),
            CASE who WHEN 'ada' THEN 'A house by the sea' ELSE 'Master of my trade' END,
            'Ten years from now I live from what I love, and have time for the people I love.',
            10,
            '{"areas": ["work", "family", "health"], "reason": "It is what I would regret not to have tried."}'
        )
        ON CONFLICT DO NOTHING;

        INSERT INTO cycle (id, user_id, vision_id, title, status, starts_on, settings)
        VALUES (
            pg_temp.sample_id(who || ' cycle'),
            current_app_user(),
            pg_temp.sample_id(who || ' vision'),
            'First twelve weeks',
            'active',
            date '2026-01-05',
            '{"timezone": "Europe/Vienna", "review_day": 7}'
        )
        ON CONFLICT DO NOTHING;

        INSERT INTO goal (id, user_id, cycle_id, goal_type, title, description, status, measure)
        SELECT
            pg_temp.sample_id(who || ' goal ' || g.type),
            current_app_user(),
            pg_temp.sample_id(who || ' cycle'),
            g.type::goal_type,
            g.title,
            'What would be different on the last day of the cycle?',
            'active',
            g.measure::jsonb
        FROM (
            VALUES
                ('professional', 'Publish the first ten chapters', '{"unit": "chapters", "target": 10}'),
                ('personal', 'Run ten kilometres', '{"unit": "km", "target": 10.0}')
        ) AS g (type, title, measure)
        ON CONFLICT DO NOTHING;

        INSERT INTO weekly_plan (id, user_id, cycle_id, week_number, focus, review)
        SELECT
            pg_temp.sample_id(who || ' week ' || week),
            current_app_user(),
            pg_temp.sample_id(who || ' cycle'),
            week,
            'Week ' || week,
            CASE WHEN week <= 6 THEN '{"score": 85, "wins": ["kept the mornings free"], "lesson": "Less is more."}' ELSE '{}' END::jsonb
        FROM generate_series(1, 12) AS week
        ON CONFLICT DO NOTHING;

        INSERT INTO task (id, user_id, cycle_id, goal_id, title, notes, weekly_quota)
        SELECT
            pg_temp.sample_id(who || ' task ' || t.title),
            current_app_user(),
            pg_temp.sample_id(who || ' cycle'),
            pg_temp.sample_id(who || ' goal ' || t.type),
            t.title,
            'Before breakfast.',
            t.quota
        FROM (
            VALUES
                ('professional', 'Write 500 words', 5),
                ('professional', 'Read one paper', 2),
                ('personal', 'Run', 3),
                ('personal', 'Stretch', 4)
        ) AS t (type, title, quota)
        ON CONFLICT DO NOTHING;

        INSERT INTO plan_item (id, user_id, cycle_id, weekly_plan_id, task_id, quota)
        SELECT
            pg_temp.sample_id(who || ' item ' || t.title || w.week_number),
            w.user_id,
            w.cycle_id,
            w.id,
            t.id,
            t.weekly_quota
        FROM weekly_plan AS w
        JOIN task AS t ON t.cycle_id = w.cycle_id AND t.user_id = w.user_id
        WHERE w.cycle_id = pg_temp.sample_id(who || ' cycle')
          AND w.user_id = current_app_user()
          AND NOT EXISTS (SELECT FROM plan_item AS p WHERE p.weekly_plan_id = w.id AND p.task_id = t.id);

        -- Progress up to week 6.
        UPDATE plan_item AS p
        SET done = p.quota, status = 'completed', note = 'As planned.'
        FROM weekly_plan AS w
        WHERE w.id = p.weekly_plan_id
          AND w.cycle_id = pg_temp.sample_id(who || ' cycle')
          AND p.user_id = current_app_user()
          AND w.week_number <= 6
          AND p.status = 'planned';

        INSERT INTO chat_session (id, user_id, cycle_id, title, context)
        VALUES (
            pg_temp.sample_id(who || ' chat'),
            current_app_user(),
            pg_temp.sample_id(who || ' cycle'),
            'How to begin week 7',
            '{"page": "week", "week": 7}'
        )
        ON CONFLICT DO NOTHING;

        INSERT INTO chat_message (id, user_id, chat_session_id, role, content, metadata)
        SELECT
            pg_temp.sample_id(who || ' message ' || m.place),
            current_app_user(),
            pg_temp.sample_id(who || ' chat'),
            m.role::chat_role,
            m.content,
            m.metadata::jsonb
        FROM (
            VALUES
                (1, 'system', 'You help with plans of twelve weeks.', '{}'),
                (2, 'user', 'I am behind on running. What now?', '{}'),
                (3, 'tool', 'weeks 1 to 6: 18 of 18 runs', '{"calls": ["progress"]}'),
                (4, 'assistant', 'You are not behind: 18 of 18 runs are done.', '{"model": "sample", "tokens": 14}')
        ) AS m (place, role, content, metadata)
        ON CONFLICT DO NOTHING;

        -- One entry of each kind for the audit log: a message that was thought better of.
        IF NOT EXISTS (SELECT FROM audit_log AS a WHERE a.row_id = pg_temp.sample_id(who || ' message 5')) THEN
            INSERT INTO chat_message (id, user_id, chat_session_id, role, content)
            VALUES (
                pg_temp.sample_id(who || ' message 5'),
                current_app_user(),
                pg_temp.sample_id(who || ' chat'),
                'user',
                'Never mind.'
            );
            DELETE FROM chat_message WHERE id = pg_temp.sample_id(who || ' message 5');
        END IF;

        UPDATE cycle
        SET lock_enforced = true
        WHERE id = pg_temp.sample_id('ada cycle') AND user_id = current_app_user() AND NOT lock_enforced;
    END LOOP;
END
$sample$;
