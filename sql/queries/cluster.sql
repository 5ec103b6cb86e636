-- Which cluster a session is on, and which branch of its history
SELECT (SELECT system_identifier::text FROM pg_control_system()) AS system_identifier,
       (SELECT timeline_id FROM pg_control_checkpoint()) AS timeline;
