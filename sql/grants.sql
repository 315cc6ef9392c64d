-- cleanup_grant and cleanup_revoke: what is said, and what is refused. What each level may do is test/cluster/test_roles.py.
CREATE SCHEMA grants;
SET search_path = grants, public;
SET client_min_messages = warning;
CREATE ROLE grants_ann;
CREATE ROLE "grants_Bob";
CREATE ROLE grants_admin;
CREATE TABLE events (id int, at timestamptz);
SELECT cleanup_add_policy('gr_events', 'events', 'at', '30 days') > 0 AS added;
RESET client_min_messages;

-- bad input
SELECT cleanup_grant(NULL, 'viewer');
SELECT cleanup_grant('grants_ann', NULL);
SELECT cleanup_grant('grants_ann', 'god');
SELECT cleanup_grant('grants_ann', 'Viewer');
SELECT cleanup_grant('grants_anna', 'viewer');
SELECT cleanup_grant('GRANTS_ANN', 'viewer');
SELECT cleanup_grant('quite_unlike_anybody', 'viewer');
SELECT cleanup_grant('public', 'viewer');
SELECT cleanup_grant('', 'viewer');
SELECT cleanup_grant('grants_ann', 'viewer', 'gr_event');
SELECT cleanup_grant('grants_ann', 'viewer', '');
SELECT cleanup_grant('grants_ann', 'owner', 'gr_events');
SELECT cleanup_grant('grants_ann', 'sidecar', 'gr_events');
SELECT cleanup_revoke(NULL, 'viewer');
SELECT cleanup_revoke('grants_ann', NULL);
SELECT cleanup_revoke('grants_ann', 'god');
SELECT cleanup_revoke('grants_ann', 'viewer');
SELECT cleanup_revoke('nobody_here', 'viewer');
SELECT cleanup_revoke('grants_ann', 'viewer', 'gr_event');
BEGIN READ ONLY;
SELECT cleanup_grant('grants_ann', 'viewer');
ROLLBACK;
SELECT count(*) FROM cleanup_grants;

-- the way it is meant
SELECT cleanup_grant('grants_ann', 'viewer', 'gr_events');
SELECT cleanup_grant('grants_ann', 'viewer', 'gr_events');
SELECT cleanup_grant('grants_ann', 'operator', '*');
SELECT cleanup_grant('grants_Bob', 'owner');
SELECT cleanup_grant(role => 'grants_admin', level => 'admin');
SELECT cleanup_grant('grants_admin', 'sidecar');
SELECT role, level, policy, granted_by = current_user AS by_me FROM cleanup_grants ORDER BY grant_id;
SELECT event, policy, policy_id IS NOT NULL AS has_id, details FROM cleanup_audit WHERE event = 'grant' ORDER BY audit_id;
SELECT check_name, status, detail FROM cleanup_check() WHERE check_name = 'grants';

-- revoking takes what no other grant of the role needs
SELECT cleanup_revoke('grants_ann', 'viewer');
SELECT cleanup_revoke('grants_ann', 'operator');
SELECT has_function_privilege('grants_ann', 'cleanup_stats(text)', 'EXECUTE') AS stats,
  has_function_privilege('grants_ann', 'cleanup_cancel(bigint)', 'EXECUTE') AS cancel,
  has_function_privilege('grants_ann', 'cleanup_pause(text)', 'EXECUTE') AS pause,
  has_table_privilege('grants_ann', 'cleanup_audit', 'SELECT') AS audit;
SELECT cleanup_revoke('grants_ann', 'viewer', 'gr_events');
SELECT has_function_privilege('grants_ann', 'cleanup_stats(text)', 'EXECUTE') AS stats,
  has_table_privilege('grants_ann', 'cleanup_audit', 'SELECT') AS audit;

-- an admin grants; others do not, whatever they were granted by hand
SET ROLE grants_admin;
SELECT cleanup_grant('grants_ann', 'operator', 'gr_events');
SELECT cleanup_revoke('grants_ann', 'operator', 'gr_events');
RESET ROLE;
GRANT EXECUTE ON FUNCTION cleanup_grant, cleanup_revoke TO grants_ann;
SET ROLE grants_ann;
SELECT cleanup_grant('grants_ann', 'admin');
SELECT cleanup_revoke('grants_admin', 'admin');
RESET ROLE;

-- an admin decides how long and when; what a policy says is the owner's, since it runs with his rights
SET ROLE grants_admin;
SELECT cleanup_alter_policy('gr_events', retain => '10 days', priority => 5);
SELECT cleanup_alter_policy('gr_events', condition => 'id > 5');
SELECT cleanup_alter_policy('gr_events', guard => 'true');
UPDATE cleanup_policies SET retain = '20 days', enabled = false WHERE policy = 'gr_events';
UPDATE cleanup_policies SET age_column = NULL, retain = NULL, condition = 'true' WHERE policy = 'gr_events';
UPDATE cleanup_policies SET target = 'cleanup_grants' WHERE policy = 'gr_events';
SELECT cleanup_import_policies(cleanup_export_policies(), true);
RESET ROLE;
SELECT retain, priority, enabled, condition FROM cleanup_policies WHERE policy = 'gr_events';
-- nor does he agree, for the owner, to what has changed in the table
ALTER TABLE events RENAME at TO before;
ALTER TABLE events ADD at timestamptz;
SELECT state FROM cleanup_policy_states('gr_events');
SET ROLE grants_admin;
SELECT cleanup_alter_policy('gr_events', retain => '40 days');
SELECT cleanup_alter_policy('gr_events', batch_size => 10);
RESET ROLE;

-- a preview shows rows: it takes the right to read them
SELECT cleanup_alter_policy('gr_events', enabled => true, retain => '30 days');
INSERT INTO events VALUES (1, now(), now() - interval '50 days');
GRANT USAGE ON SCHEMA grants TO grants_admin;
SET ROLE grants_admin;
SELECT eligible_rows FROM cleanup_dry_run('gr_events');
SELECT row_data->>'id' AS id FROM cleanup_preview('gr_events');
RESET ROLE;
GRANT SELECT ON events TO grants_admin;
SET ROLE grants_admin;
SELECT row_data->>'id' AS id FROM cleanup_preview('gr_events');
RESET ROLE;
ALTER TABLE events ENABLE ROW LEVEL SECURITY;
SET ROLE grants_admin;
SELECT row_data->>'id' AS id FROM cleanup_preview('gr_events');
RESET ROLE;

SELECT cleanup_drop_policy('gr_events');
SELECT role, level, policy FROM cleanup_grants ORDER BY grant_id;
SELECT cleanup_revoke('grants_Bob', 'owner'), cleanup_revoke('grants_admin', 'admin'), cleanup_revoke('grants_admin', 'sidecar');
REVOKE EXECUTE ON FUNCTION cleanup_grant, cleanup_revoke FROM grants_ann;
DROP SCHEMA grants CASCADE;
-- nothing is left of the privileges
DROP ROLE grants_ann, "grants_Bob", grants_admin;
