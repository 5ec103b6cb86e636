-- Tie jobs and recipes to their users
-- lock: ShareRowExclusive on recipe_rotation; ShareRowExclusive on scheduled_jobs; ShareRowExclusive on users
-- estimate: 10 ms

-- A step of its own, so that writers of users wait for two foreign keys of empty tables, and not for all that is made.
DO $keys$
BEGIN
    IF NOT EXISTS (
        SELECT
        FROM pg_constraint AS c
        WHERE c.conrelid = 'scheduled_jobs'::regclass AND c.conname = 'scheduled_jobs_user_id_fkey'
    ) THEN
        ALTER TABLE scheduled_jobs
            ADD CONSTRAINT scheduled_jobs_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;
    END IF;
    IF NOT EXISTS (
        SELECT
        FROM pg_constraint AS c
        WHERE c.conrelid = 'recipe_rotation'::regclass AND c.conname = 'recipe_rotation_user_id_fkey'
    ) THEN
        ALTER TABLE recipe_rotation
            ADD CONSTRAINT recipe_rotation_user_id_fkey FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE;
    END IF;
END
$keys$;
