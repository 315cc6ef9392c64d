-- What pg_dump carries over: what was declared, and what was recorded. Bindings are made anew; runs stay behind, but for their numbers.
SELECT pg_catalog.pg_extension_config_dump('@extschema@.cleanup_policies', '');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('@extschema@.cleanup_policies', 'policy_id'), '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.cleanup_audit', '');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('@extschema@.cleanup_audit', 'audit_id'), '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.cleanup_pauses', '');
-- A grant that is not in force, or whose role has another name by now, could come to life for somebody else: it stays behind.
SELECT pg_catalog.pg_extension_config_dump('@extschema@.cleanup_grants',
  'WHERE EXISTS (SELECT FROM @extschema@.cleanup_grant_bindings b JOIN pg_catalog.pg_roles r ON r.oid OPERATOR(pg_catalog.=) b.role '
  'WHERE b.grant_id OPERATOR(pg_catalog.=) cleanup_grants.grant_id AND r.rolname OPERATOR(pg_catalog.=) cleanup_grants.role)');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('@extschema@.cleanup_grants', 'grant_id'), '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.cleanup_schedules', '');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('@extschema@.cleanup_schedules', 'schedule_id'), '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.cleanup_relations', '');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('@extschema@.cleanup_relations', 'relation_id'), '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.cleanup_archives', '');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('@extschema@.cleanup_archives', 'archive_id'), '');
-- Archived rows name their runs: a number that is given out again would restore rows of another run.
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('@extschema@.cleanup_runs', 'run_id'), '');
