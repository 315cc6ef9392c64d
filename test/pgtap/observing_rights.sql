-- Who sees what in cleanup_stats and cleanup_check, who may pause, and that the audit only grows.
SELECT plan(16);

CREATE ROLE observing_a LOGIN;
CREATE ROLE observing_b LOGIN;
CREATE ROLE observing_member LOGIN IN ROLE observing_a;
CREATE SCHEMA app AUTHORIZATION observing_a;
GRANT CREATE, USAGE ON SCHEMA app TO observing_b;
GRANT EXECUTE ON FUNCTION cleanup_stats(text), cleanup_check(), cleanup_run_is_alive(bigint)
  TO observing_a, observing_b;
SET client_min_messages = warning;

CREATE TABLE app.of_a (id int, at timestamptz);
ALTER TABLE app.of_a OWNER TO observing_a;
CREATE TABLE app.of_b (id int, at timestamptz);
ALTER TABLE app.of_b OWNER TO observing_b;
SELECT cleanup_add_policy('of_a', 'app.of_a', 'at', '1 day') > 0 AS added \gset
SELECT cleanup_add_policy('of_b', 'app.of_b', 'at', '1 day') > 0 AS added \gset

SELECT results_eq($$SELECT policy FROM cleanup_stats() ORDER BY 1$$, ARRAY['of_a', 'of_b'], 'a superuser sees every policy');
SET ROLE observing_a;
SELECT results_eq($$SELECT policy FROM cleanup_stats()$$, ARRAY['of_a'], 'an owner sees those on his tables');
SELECT throws_ok($$SELECT * FROM cleanup_stats('of_b')$$, '42704', NULL, 'others do not exist for him');
SELECT is_empty($$SELECT FROM cleanup_check() WHERE detail LIKE '%of\_b%' OR hint LIKE '%of\_b%'$$, 'nor in cleanup_check');
SELECT isnt_empty($$SELECT FROM cleanup_check() WHERE detail LIKE '%of\_a%'$$, 'which has his own');
SET ROLE observing_member;
SELECT results_eq($$SELECT policy FROM cleanup_stats()$$, ARRAY['of_a'], 'a member of the owner sees them too');
RESET ROLE;

SET ROLE observing_b;
SELECT throws_ok($$SELECT cleanup_pause('because')$$, '42501', NULL, 'pausing must be granted');
SELECT throws_ok($$SELECT * FROM cleanup_progress$$, '42501', NULL, 'so must reading progress');
RESET ROLE;
GRANT EXECUTE ON FUNCTION cleanup_pause(text), cleanup_resume(text) TO observing_b;
SET ROLE observing_b;
SELECT lives_ok($$SELECT cleanup_pause('because')$$, 'then it is allowed');
RESET ROLE;
SELECT is((SELECT paused_by || ': ' || reason FROM cleanup_pauses WHERE resumed_at IS NULL), 'observing_b: because',
  'and kept with the name');
SELECT is((SELECT actor::text FROM cleanup_audit WHERE event = 'pause'), 'observing_b', 'also in the audit');
SELECT lives_ok($$SELECT cleanup_resume('done')$$, 'anybody who may can resume');

-- The audit: a role that was granted everything.
GRANT ALL ON cleanup_audit TO observing_a;
SET ROLE observing_a;
SELECT throws_ok($$UPDATE cleanup_audit SET actor = 'nobody'$$, NULL, NULL, 'a grant is not enough to change the audit');
SELECT throws_ok($$DELETE FROM cleanup_audit$$, NULL, NULL, 'nor to delete from it');
SELECT throws_ok($$TRUNCATE cleanup_audit$$, NULL, NULL, 'nor to empty it');
RESET ROLE;
SELECT isnt_empty($$SELECT FROM cleanup_audit WHERE event = 'pause'$$, 'what was written is still there');

DROP SCHEMA app CASCADE;
DROP OWNED BY observing_a, observing_b, observing_member;
DROP ROLE observing_member, observing_a, observing_b;
SELECT * FROM finish();
