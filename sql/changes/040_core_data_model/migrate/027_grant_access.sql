-- Let the application in
-- lock: none
-- estimate: 10 ms

-- Last: until here nobody but the owner gets in. Who acts for whom is said by the claims, not by the role.
GRANT SELECT, INSERT, UPDATE, DELETE
    ON vision, cycle, goal, weekly_plan, task, plan_item, chat_session, chat_message
    TO app_user;
GRANT SELECT ON audit_log TO app_user;

-- Whoever unlocks a cycle acts for its user, too, and can do nothing else to it.
GRANT SELECT, UPDATE (lock_enforced) ON cycle TO lock_admin;

GRANT EXECUTE ON FUNCTION current_app_user(), hold_lock_flag(uuid, uuid) TO app_user, lock_admin;
