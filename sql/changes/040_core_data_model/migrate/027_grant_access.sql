-- Let the application in
-- lock: none
-- estimate: 10 ms

-- Last: until here nobody but the owner gets in. Who acts for whom is said by the claims, not by the role.
GRANT SELECT, INSERT, UPDATE, DELETE
    ON vision, cycle, goal, weekly_plan, task, plan_item, chat_session, chat_message
    TO app_user;
GRANT SELECT ON audit_log TO app_user;

-- Default privileges may have given more, to anybody. Who may make a trigger reads what others write, and changes it
-- behind the guards; who may make a foreign key learns of rows beside row security, and keeps them from being deleted.
DO $take$
DECLARE
    given record;
BEGIN
    FOR given IN
        SELECT DISTINCT c.oid::regclass AS table_name, acl.grantee
        FROM pg_class AS c
        CROSS JOIN LATERAL aclexplode(c.relacl) AS acl
        WHERE c.oid IN (
                'vision'::regclass, 'cycle'::regclass, 'goal'::regclass, 'weekly_plan'::regclass, 'task'::regclass,
                'plan_item'::regclass, 'audit_log'::regclass, 'chat_session'::regclass, 'chat_message'::regclass
            )
            AND acl.grantee <> c.relowner
            AND acl.privilege_type IN ('TRIGGER', 'REFERENCES')
    LOOP
        EXECUTE format(
            'REVOKE TRIGGER, REFERENCES ON %s FROM %s',
            given.table_name,
            CASE WHEN given.grantee = 0 THEN 'PUBLIC' ELSE given.grantee::regrole::text END
        );
    END LOOP;
END
$take$;

-- Whoever unlocks a cycle acts for its user, too, and can do nothing else to it.
GRANT SELECT, UPDATE (lock_enforced) ON cycle TO lock_admin;

GRANT EXECUTE ON FUNCTION current_app_user(), hold_lock_flag(uuid, uuid) TO app_user, lock_admin;
