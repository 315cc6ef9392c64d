-- Several policies on one table, each with a condition and a period of its own, in one run and in their order.
CREATE SCHEMA several_policies;
SET search_path = several_policies, public;
SET client_min_messages = warning;
SET TimeZone = 'UTC';

CREATE TABLE job (id int PRIMARY KEY, status text, finished_at timestamptz, note text);
CREATE INDEX ON job (finished_at);
-- Five days apart and two days off every period: ages of 2, 7, 12 ... days.
INSERT INTO job SELECT g, (ARRAY['failed','completed','cancelled',NULL])[1 + g % 4], now() - (g / 4 * 5 + 2) * interval '1 day' FROM generate_series(0, 79) g;
SELECT cleanup_add_policy('sp_other', 'job', 'finished_at', '30 days', condition => $$status NOT IN ('failed', 'completed') OR status IS NULL$$, priority => 30) \gset
SELECT cleanup_add_policy('sp_completed', 'job', 'finished_at', '90 days', condition => $$status = 'completed'$$, priority => 20) \gset
SELECT cleanup_add_policy('sp_failed', 'job', 'finished_at', '14 days', condition => $$status = 'failed'$$, priority => 10) \gset
-- One that changes rows before another deletes them.
SELECT cleanup_add_policy('sp_redacted', 'job', 'finished_at', '60 days', condition => $$status = 'completed' AND note IS NULL$$,
  action => 'update', set_values => $${"note": "'redacted by ' || policy"}$$, priority => 5) \gset
CREATE TABLE wanted AS SELECT id, status, CASE WHEN status = 'completed' AND finished_at < now() - interval '60 days' THEN 'redacted by sp_redacted' END AS note FROM job
  WHERE NOT (finished_at < now() - CASE status WHEN 'failed' THEN interval '14 days' WHEN 'completed' THEN interval '90 days' ELSE interval '30 days' END);
SELECT policy, eligible_rows, substring(warnings::text FROM 'Other policies act on the same table') AS warning FROM cleanup_dry_run() WHERE policy LIKE 'sp%';
SELECT policy, action, status, rows FROM cleanup_run();
SELECT count(*) FROM (SELECT id, status, note FROM job EXCEPT TABLE wanted) AS too_many_or_other;
SELECT count(*) FROM (TABLE wanted EXCEPT SELECT id, status, note FROM job) AS missing_or_other;
SELECT policy, status, rows FROM cleanup_run();

SELECT count(cleanup_drop_policy(policy)) FROM cleanup_policies WHERE policy LIKE 'sp%';
DROP SCHEMA several_policies CASCADE;
