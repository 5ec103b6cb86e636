-- Keep the application out
-- lock: none
-- estimate: 10 ms

REVOKE ALL ON vision, cycle, goal, weekly_plan, task, plan_item, audit_log, chat_session, chat_message FROM app_user;
REVOKE ALL ON cycle FROM lock_admin;
REVOKE UPDATE (lock_enforced) ON cycle FROM lock_admin;
REVOKE ALL ON FUNCTION current_app_user(), hold_lock_flag(uuid, uuid) FROM app_user, lock_admin;
