-- Untie jobs and recipes from their users
-- lock: AccessExclusive on recipe_rotation; AccessExclusive on scheduled_jobs; AccessExclusive on users
-- estimate: 10 ms

ALTER TABLE IF EXISTS recipe_rotation DROP CONSTRAINT IF EXISTS recipe_rotation_user_id_fkey;
ALTER TABLE IF EXISTS scheduled_jobs DROP CONSTRAINT IF EXISTS scheduled_jobs_user_id_fkey;
