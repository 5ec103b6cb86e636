-- A user who is seen

UPDATE users SET last_seen_at = now() WHERE id = 1;
