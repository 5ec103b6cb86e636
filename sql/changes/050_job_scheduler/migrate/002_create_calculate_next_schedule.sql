-- Create the calendar: when a job is due next
-- lock: none
-- estimate: 10 ms

-- A day is a day of the zone, not 24 hours of the session: without that, 20:00 becomes 21:00 when the clocks change, and
-- depends on who asks. A time that the clocks leave out comes an hour later, one that they repeat counts once.
CREATE OR REPLACE FUNCTION calculate_next_schedule(p_frequency_type text, p_config jsonb, p_from_time timestamptz DEFAULT now())
RETURNS timestamptz
LANGUAGE plpgsql
STABLE
AS $body$
DECLARE
    zone text;
    local_time time;
    local_day date;
    step integer := 1;
    next_time timestamptz;
BEGIN
    IF p_from_time IS NULL OR NOT isfinite(p_from_time) THEN
        RAISE invalid_parameter_value USING MESSAGE = format('no next time after %s', coalesce(p_from_time::text, 'NULL'));
    END IF;
    IF p_frequency_type = 'once' THEN
        RETURN NULL;
    ELSIF p_frequency_type = 'every_n_hours' THEN
        IF coalesce(p_config ->> 'hours' ~ '^[1-9][0-9]{0,3}$', false) THEN
            RETURN p_from_time + make_interval(hours => (p_config ->> 'hours')::integer);
        END IF;
    ELSIF p_frequency_type IN ('daily', 'weekly')
        AND coalesce(p_config ->> 'hour' ~ '^([01]?[0-9]|2[0-3])$', false)
        AND coalesce(p_config ->> 'minute', '0') ~ '^[0-5]?[0-9]$'
        AND (p_frequency_type = 'daily' OR coalesce(p_config ->> 'day' ~ '^[0-7]$', false))
        -- A name: +05:00 and UTC+5 would be taken, too, and mean five hours west of Greenwich.
        AND coalesce(p_config ->> 'timezone', 'UTC') ~ '^[A-Za-z_]+(-[A-Za-z]+)?(/[A-Za-z0-9_+-]+)*$'
    THEN
        zone := coalesce(p_config ->> 'timezone', (SELECT c.timezone FROM scheduler_config AS c WHERE c.id = 1), 'UTC');
        local_time := make_time((p_config ->> 'hour')::integer, coalesce(p_config ->> 'minute', '0')::integer, 0);
        -- From yesterday: where the clocks leave out the end of a day, its time comes on the next one.
        local_day := (p_from_time AT TIME ZONE zone)::date - 1;
        IF p_frequency_type = 'weekly' THEN
            step := 7;
            local_day := local_day + (((p_config ->> 'day')::integer - extract(dow FROM local_day)::integer + 7) % 7);
        END IF;
        LOOP
            next_time := (local_day + local_time) AT TIME ZONE zone;
            EXIT WHEN next_time > p_from_time;
            local_day := local_day + step;
        END LOOP;
        RETURN next_time;
    END IF;
    RAISE invalid_parameter_value USING
        MESSAGE = format('no schedule: %s with %s', coalesce(p_frequency_type, 'NULL'), coalesce(p_config::text, 'NULL')),
        HINT = 'weekly: {"day": 5, "hour": 6, "minute": 0}; daily: {"hour": 20, "minute": 0}; every_n_hours: {"hours": 2}; once: {}. "timezone" may name another zone: America/New_York.';
END
$body$;

DO $pin$
BEGIN
    EXECUTE format('ALTER FUNCTION calculate_next_schedule(text, jsonb, timestamptz) SET search_path = %I, pg_temp', current_schema());
END
$pin$;

COMMENT ON FUNCTION calculate_next_schedule(text, jsonb, timestamptz) IS
    'When a job of this frequency is due next after p_from_time; NULL for once. Raises 22023 where the schedule makes no sense.';
