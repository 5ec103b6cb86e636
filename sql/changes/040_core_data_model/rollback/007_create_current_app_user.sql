-- Drop the function that says whose rows a session may see
-- lock: none
-- estimate: 10 ms

DROP FUNCTION IF EXISTS current_app_user();
