-- Whom a grant counts for: members, never another role of the same name, also not after a rename; and whose it is to see.
SELECT plan(33);

CREATE ROLE grants_a LOGIN;
CREATE ROLE grants_member LOGIN IN ROLE grants_a;
CREATE ROLE grants_outside LOGIN NOINHERIT IN ROLE grants_a;
CREATE ROLE grants_owner;
SET client_min_messages = warning;
CREATE TABLE one (id int, at timestamptz);
CREATE TABLE two (id int, at timestamptz);
ALTER TABLE one OWNER TO grants_owner;
ALTER TABLE two OWNER TO grants_owner;
SELECT cleanup_add_policy('one', 'one', 'at', '1 day') > 0 AS added \gset
SELECT cleanup_add_policy('two', 'two', 'at', '1 day') > 0 AS added \gset
SELECT cleanup_grant('grants_a', 'viewer', 'one');

SET ROLE grants_a;
SELECT results_eq($$SELECT policy FROM cleanup_stats()$$, ARRAY['one'], 'a grant for one policy shows that one');
SELECT results_eq($$SELECT policy FROM cleanup_policies$$, ARRAY['one'], 'in the table too');
SELECT throws_ok($$SELECT * FROM cleanup_stats('two')$$, '42704', NULL, 'the other does not exist');
SELECT throws_ok($$SELECT * FROM cleanup_stats('on')$$, '42704', NULL, 'near names are given');
SELECT is((SELECT count(*) FROM cleanup_audit WHERE policy = 'two'), 0::bigint, 'nor does its audit');
SELECT is((SELECT count(*) FROM cleanup_audit WHERE policy = 'one'), 2::bigint, 'that of the one is there: made, and granted');
SELECT throws_ok($$SELECT * FROM cleanup_run('one')$$, '42501', NULL, 'seeing is not running');
RESET ROLE;
SET ROLE grants_member;
SELECT results_eq($$SELECT policy FROM cleanup_stats()$$, ARRAY['one'], 'members have what the role has');
RESET ROLE;
SET ROLE grants_outside;
SELECT throws_ok($$SELECT * FROM cleanup_stats()$$, '42501', NULL, 'but not without inheriting it');
RESET ROLE;

-- A policy that is renamed keeps its grants; one that is made anew has none.
UPDATE cleanup_policies SET policy = 'uno' WHERE policy = 'one';
SET ROLE grants_a;
SELECT results_eq($$SELECT policy FROM cleanup_stats()$$, ARRAY['uno'], 'a grant goes with the policy''s new name');
RESET ROLE;
SELECT cleanup_drop_policy('uno');
SELECT cleanup_add_policy('uno', 'one', 'at', '1 day') > 0 AS added \gset
SET ROLE grants_a;
SELECT is_empty($$SELECT policy FROM cleanup_stats()$$, 'a policy of the same name made anew is another');
SELECT is_empty($$SELECT FROM cleanup_audit WHERE policy IS NOT NULL$$, 'and what is left of the old one is for those who see all');
RESET ROLE;

-- Roles: renamed, dropped, made anew.
SELECT cleanup_grant('grants_a', 'viewer');
ALTER ROLE grants_a RENAME TO grants_b;
SET ROLE grants_b;
SELECT isnt_empty($$SELECT policy FROM cleanup_stats()$$, 'a renamed role keeps its level');
RESET ROLE;
SELECT matches((SELECT detail FROM cleanup_check() WHERE check_name = 'grants'), 'now called "grants_b"', 'and a check says so');
CREATE ROLE grants_a LOGIN;
GRANT EXECUTE ON FUNCTION cleanup_stats TO grants_a;
SET ROLE grants_a;
SELECT is_empty($$SELECT policy FROM cleanup_stats()$$, 'who takes the old name gets nothing with it');
RESET ROLE;
SELECT cleanup_grant('grants_owner', 'owner');
SELECT results_eq($$SELECT role::text COLLATE "default" FROM cleanup_grants WHERE level = 'viewer'$$, ARRAY['grants_b'], 'the next grant writes the new name');
SELECT is((SELECT status FROM cleanup_check() WHERE check_name = 'grants'), 'ok', 'and the check is content');

SELECT throws_ok($$DROP ROLE grants_b$$, '2BP01', NULL, 'a role with a level cannot be dropped by accident');
DROP OWNED BY grants_b;
SELECT matches((SELECT detail FROM cleanup_check() WHERE check_name = 'grants'), 'without \d+ privileges', 'a level without its privileges is found');
DROP ROLE grants_b;
SELECT matches((SELECT detail FROM cleanup_check() WHERE check_name = 'grants'), 'not in force: that role was dropped', 'as is one of a role that is gone');
CREATE ROLE grants_b LOGIN;
GRANT EXECUTE ON FUNCTION cleanup_stats TO grants_b;
SET ROLE grants_b;
SELECT is_empty($$SELECT policy FROM cleanup_stats()$$, 'a new role of that name does not inherit it');
RESET ROLE;
SELECT cleanup_grant('grants_b', 'viewer', 'uno');
SET ROLE grants_b;
SELECT results_eq($$SELECT policy FROM cleanup_stats()$$, ARRAY['uno'], 'not even when it gets a level of its own');
RESET ROLE;
SELECT cleanup_revoke('grants_b', 'viewer');
SELECT results_eq($$SELECT policy FROM cleanup_grants WHERE level = 'viewer'$$, ARRAY['uno'], 'what is dead can be revoked by its name');
SELECT ok(has_function_privilege('grants_b', 'cleanup_stats(text)', 'EXECUTE'), 'and takes nothing from the living');

-- By hand, as a restore does it.
INSERT INTO cleanup_grants (role, level) VALUES ('grants_to_come', 'viewer');
SELECT matches((SELECT detail FROM cleanup_check() WHERE check_name = 'grants' AND detail LIKE '%to_come%'),
  'not there when the grant was restored', 'a grant to nobody is shown');
CREATE ROLE grants_to_come LOGIN;
GRANT EXECUTE ON FUNCTION cleanup_stats TO grants_to_come;
SET ROLE grants_to_come;
SELECT is_empty($$SELECT policy FROM cleanup_stats()$$, 'and is not in force when the name appears');
RESET ROLE;
SELECT cleanup_grant('grants_to_come', 'viewer');
SET ROLE grants_to_come;
SELECT isnt_empty($$SELECT policy FROM cleanup_stats()$$, 'until somebody says so');
RESET ROLE;
SELECT is((SELECT count(*) FROM cleanup_grants WHERE role = 'grants_to_come'), 1::bigint, 'once');

-- Row security hides from readers, not from the bookkeeping.
SET ROLE grants_owner;
SELECT results_eq($$SELECT policy FROM cleanup_policies ORDER BY 1$$, ARRAY['two', 'uno'], 'an owner sees the policies of his tables');
SELECT string_agg(policy || ' ' || status, ', ' ORDER BY policy) AS ran FROM cleanup_run() \gset
SELECT is(:'ran'::text, 'two succeeded, uno succeeded', 'and runs them');
SELECT is((SELECT count(*) FROM cleanup_audit WHERE event = 'run'), 2::bigint, 'sees their runs in the audit');
RESET ROLE;
ALTER TABLE one OWNER TO grants_member;
SET ROLE grants_owner;
SELECT results_eq($$SELECT policy FROM cleanup_policies$$, ARRAY['two'], 'with the table goes the policy');
SELECT throws_ok($$SELECT cleanup_alter_policy('uno', enabled => false)$$, '42704', NULL, 'to the new owner');
RESET ROLE;

DROP TABLE one, two;
DROP OWNED BY grants_a, grants_b, grants_member, grants_outside, grants_owner, grants_to_come;
DROP ROLE grants_a, grants_b, grants_member, grants_outside, grants_owner, grants_to_come;
SELECT * FROM finish();
