-- What pg_dump carries over: what was declared, and what was recorded. Bindings are made anew; runs stay behind.
SELECT pg_catalog.pg_extension_config_dump('@extschema@.cleanup_policies', '');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('@extschema@.cleanup_policies', 'policy_id'), '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.cleanup_audit', '');
SELECT pg_catalog.pg_extension_config_dump(pg_catalog.pg_get_serial_sequence('@extschema@.cleanup_audit', 'audit_id'), '');
SELECT pg_catalog.pg_extension_config_dump('@extschema@.cleanup_pauses', '');
