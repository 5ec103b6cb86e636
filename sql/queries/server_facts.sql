-- Where a session is: database, role, version, role in replication
SELECT current_database()::text AS database,
       current_user::text AS user,
       current_setting('server_version') AS version,
       current_setting('server_version_num')::int AS version_num,
       pg_is_in_recovery() AS is_standby,
       current_setting('default_transaction_read_only')::boolean AS read_only,
       to_char(pg_postmaster_start_time() AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS started,
       (SELECT oid::bigint FROM pg_database WHERE datname = current_database()) AS database_oid;
