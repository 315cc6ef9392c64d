-- Conditions and guards: what is stored of them, and what is refused.
CREATE SCHEMA expressions;
SET search_path = expressions, public;
SET TimeZone = 'UTC';

SET client_min_messages = warning;
CREATE EXTENSION citext;
CREATE TABLE events (id bigint PRIMARY KEY, created_at timestamptz, kind varchar(20), email citext, n numeric(10,2), tags text[], j jsonb,
  u uuid, d date, ts timestamp, i int, b bigint, s smallint, vt varchar(5)[], ch char(3), x xml, mood int4range);
CREATE TABLE hold (event_id bigint, kind varchar(20));
CREATE SEQUENCE numbers;
CREATE TEMP TABLE passing (kind text);
CREATE FUNCTION with_default(int, float8 DEFAULT random()) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
CREATE VIEW shifting AS SELECT random() AS r;
CREATE VIEW above AS SELECT * FROM shifting;

-- What becomes of a condition: its canonical text, or the error.
CREATE FUNCTION stored(condition text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  PERFORM public.cleanup_add_policy('condition', 'expressions.events', condition => condition);
  SELECT p.condition INTO result FROM public.cleanup_policies p WHERE policy = 'condition';
  PERFORM public.cleanup_drop_policy('condition');
  -- Names that PostgreSQL 15 prints and newer ones do not; parentheses that 18 leaves out.
  result := regexp_replace(result, ' AS (count|max|sum)\M', '', 'g');
  RETURN regexp_replace(result, '^\((target.x IS DOCUMENT)\)$', '\1');
EXCEPTION WHEN OTHERS THEN
  RETURN sqlstate || ' ' || sqlerrm;
END $$;
CREATE TABLE conditions (number int GENERATED ALWAYS AS IDENTITY, condition text);
INSERT INTO conditions (condition) VALUES
  ($_$kind in ('a','b')$_$),
  ($_$kind not in ('a','b')$_$),
  ($_$kind = any('{a,b}')$_$),
  ($_$kind = any(array['a','b'])$_$),
  ($_$kind = any(array['a','b']::varchar[])$_$),
  ($_$ch in ('a','b')$_$),
  ($_$email in ('a','b')$_$),
  ($_$id in (select event_id from hold)$_$),
  ($_$(id, kind) in (select event_id, kind from hold)$_$),
  ($_$exists (select 1 from hold where event_id = events.id)$_$),
  ($_$exists (select 1 from hold h join events e2 on e2.id = h.event_id where e2.id = events.id and h.kind = events.kind)$_$),
  ($_$exists (select 1 from hold target where target.event_id = events.id)$_$),
  ($_$exists (select 1 from hold join events as o using (kind))$_$),
  ($_$not exists (with r as (select event_id from hold) select from r where r.event_id = events.id)$_$),
  ($_$not exists (with recursive r as (select event_id from hold union select event_id+1 from r where event_id < 3) select from r where r.event_id = events.id)$_$),
  ($_$(select count(*) from hold where event_id = id) = 0$_$),
  ($_$(select max(event_id) over () from hold limit 1) = 3$_$),
  ($_$n between 1 and 5$_$),
  ($_$n > 5 and n < -1$_$),
  ($_$kind like 'a%' or kind ilike '%b' or kind similar to 'x' or kind ~ 'a'$_$),
  ($_$coalesce(kind, 'x') = 'x'$_$),
  ($_$case when kind = 'a' then true else false end$_$),
  ($_$case kind when 'a' then true else false end$_$),
  ($_$case email when 'a' then true else false end$_$),
  ($_$nullif(kind,'a') is null$_$),
  ($_$nullif(email,'a') is null$_$),
  ($_$kind is distinct from 'a'$_$),
  ($_$kind is not null$_$),
  ($_$extract(year from created_at) < 2020$_$),
  ($_$created_at at time zone 'Europe/Berlin' < '2020-01-01'$_$),
  ($_$created_at < '2020-01-01'$_$),
  ($_$created_at < '2020-01-01 Europe/Berlin'$_$),
  ($_$created_at < timestamptz 'epoch'$_$),
  ($_$date_trunc('day', created_at) = created_at$_$),
  ($_$(created_at, created_at) overlaps (created_at, created_at)$_$),
  ($_$tags && array['a','b']$_$),
  ($_$tags[1] = 'a'$_$),
  ($_$tags @> '{a}'$_$),
  ($_$vt = '{a,b}'$_$),
  ($_$'a' = any(vt)$_$),
  ($_$j @> '{"a":1}'$_$),
  ($_$j->'a'->>'b' = 'x'$_$),
  ($_$j ? 'x'$_$),
  ($_$u = '00000000-0000-0000-0000-000000000000'$_$),
  ($_$kind || 'x' = 'ax'$_$),
  ($_$kind::text = 'a'$_$),
  ($_$kind::varchar(5) = 'abcde'$_$),
  ($_$row(id,kind) = row(1,'a')$_$),
  ($_$row(id,kind) < row(1,'a')$_$),
  ($_$kind collate "C" < 'b'$_$),
  ($_$x is document$_$),
  ($_$mood @> 3$_$),
  ($_$true$_$),
  ($_$null$_$),
  ($_$id = 1.5$_$),
  ($_$id = 3000000000$_$),
  ($_$i = any(array[1,2,3])$_$),
  ($_$i in (1,2,null)$_$),
  ($_$i in (1, b)$_$),
  ($_$array[i,2] = '{1,2}'$_$),
  ($_$greatest(i,3) = 3$_$),
  ($_$i % 2 = 0$_$),
  ($_$not (i = 1)$_$),
  ($_$(select kind from hold limit 1) = kind$_$),
  ($_$exists (select from hold where event_id = events.id order by 1 limit 3 offset 1)$_$),
  ($_$exists (select kind, count(*) from hold group by kind having count(*) > 1)$_$),
  ($_$exists (select distinct on (kind) kind from hold order by kind)$_$),
  ($_$exists (values (1),(2))$_$),
  ($_$exists (select from unnest(tags) t where t = 'x')$_$),
  ($_$exists (select from unnest(tags) with ordinality t(a,b) where b = 1)$_$),
  ($_$exists (select from generate_series(1, i) g where g = 3)$_$),
  ($_$exists (select from jsonb_to_recordset(j) as x(a int, b text) where a = 1)$_$),
  ($_$exists (select from hold, lateral (select kind k2) s where s.k2 = 'a')$_$),
  ($_$exists (select from hold union select from hold)$_$),
  ($_$exists (select event_id from hold union all select 1 order by 1)$_$),
  ($_$exists (select event_id as foo from hold where (select true))$_$),
  ($_$current_user = 'postgres'$_$),
  ($_$current_date > d$_$),
  ($_$now() > ts$_$),
  ($_$created_at < current_timestamp - make_interval(days => 3)$_$),
  ($_$string_to_array(kind, ',') = tags$_$),
  ($_$format('%s', kind) = 'a'$_$),
  ($_$public.events.id = 1$_$),
  ($_$events.id = 1$_$),
  ($_$target.id = 1$_$),
  ($_$pg_catalog.length(kind) = 1$_$),
  ($_$i::bool$_$),
  ($_$i$_$),
  ($_$'true'$_$),
  ($_$'today'::text = kind$_$),
  ($_$kind = 'today'$_$),
  ($_$kind in ('now', 'today')$_$),
  ($_$d < 'today'$_$),
  ($_$d < 'TODAY '$_$),
  ($_$d < date ' Tomorrow'$_$),
  ($_$d < cast('now' as date)$_$),
  ($_$ts < timestamp 'yesterday 03:00'$_$),
  ($_$tags = '{today}'$_$),
  ($_$j = '{"a":"today"}'$_$),
  ($_$d = any('{today}')$_$),
  ($_$d <@ '[today,tomorrow)'::daterange$_$),
  ($_$d < date('now')$_$),
  ($_$exists (select from hold where 'today'::date > events.d)$_$),
  ($_$exists (values ('now'::timestamptz))$_$),
  ($_$ctid = '(0,1)'$_$),
  ($_$xmin = '3'$_$),
  ($_$tableoid = 'events'::regclass$_$),
  ($_$events is not null$_$),
  ($_$events.* is not null$_$),
  ($_$(events).id = 1$_$),
  ($_$row_to_json(events) is null$_$),
  ($_$$1 = 3$_$),
  ($_$exists (select from hold for update)$_$),
  ($_$exists (select from hold tablesample system (10))$_$),
  ($_$exists (with d as (delete from hold returning 1) select from d)$_$),
  ($_$exists (select * into foo from hold)$_$),
  ($_$sum(id) > 3$_$),
  ($_$row_number() over () = 1$_$),
  ($_$generate_series(1,2) = 1$_$),
  ($_$clock_timestamp() > created_at$_$),
  ($_$nextval('s') = 1$_$),
  ($_$exists (select random())$_$),
  ($_$id = 1 -- comment$_$),
  ($_$id = 1 /* comment */$_$),
  ($_$id = 1; $_$),
  ($_$id = 1 order by id$_$),
  ($_$id = 1 limit 1$_$),
  ($_$id = 1 as foo$_$),
  ($_$id = 1 foo$_$),
  ($_$id = 1, id = 2$_$),
  ($_$*$_$),
  ($_$distinct true$_$),
  ($_$true where false$_$),
  ($_$true union select true$_$),
  ($_$true into x$_$),
  ($_$$_$),
  ($_$select true$_$),
  ($_$(select true)$_$),
  ($_$(select true, false)$_$),
  ($_$true for update$_$),
  ($_$id = 1)--$_$),
  ($_$id = $_$),
  ($_$E'\'' = kind$_$),
  ($_$U&'\0041' = kind$_$),
  ($_$$$x$$ = kind$_$),
  ($_$mood = 'empty'$_$),
  ($_$i = +1 and i = -(-1)$_$),
  ($_$created_at < now() - interval '1 mon 3 days 04:05:06.5'$_$),
  ($_$'12:00+02'::timetz = '12:00+02'$_$),
  ($_$n = 'NaN'$_$),
  ($_$1.0::float8/3 = n$_$),
  ($_$'1.5'::real = n$_$),
  ($_$xmlexists('//a' passing x)$_$),
  ($_$overlay(kind placing 'x' from 1) = 'x'$_$),
  ($_$trim(both from kind) = ''$_$),
  ($_$position('a' in kind) = 1$_$),
  ($_$substring(kind from 1 for 2) = 'ab'$_$),
  ($_$kind is normalized$_$),
  ($_$(j->>'a')::int > 3$_$),
  ($_$to_tsvector('english', kind) @@ 'foo'$_$),
  ($_$length(kind) > any (select event_id from hold)$_$),
  ($_$id <> all (select event_id from hold)$_$),
  ($_$not id in (select event_id from hold where kind in ('a','b'))$_$),
  ($_$array(select event_id from hold) @> array[id]$_$),
  ($_$id is not distinct from 3$_$),
  ($_$email = 'x'$_$),
  ($_$email like 'x%'$_$),
  ($_$lower(email) = 'x'$_$),
  ($_$email <> all (array['a','b']::citext[])$_$),
  ($_$email not in ('a','b')$_$),
  ($_$(email, id) in (select email, id from events e2)$_$),
  ($_$exists (select from hold where event_id = id)$_$),
  ($_$exists (select from hold h(a,b) where h.a = id)$_$),
  ($_$grouping(id) = 1$_$),
  ($_$default$_$),
  ($_$cume_dist() over w = 1$_$),
  ($_$exists (select sum(event_id) over w from hold window w as (partition by kind order by event_id rows between 1 preceding and current row))$_$),
  ($_$n > (select r from shifting)$_$),
  ($_$exists (select from above where r > 0.5)$_$),
  ($_$with_default(i)$_$),
  ($_$with_default(i, 0.5)$_$),
  ($_$exists (select from passing)$_$),
  ($_$nextval('numbers') = 1$_$),
  ($_$exists (select from (values (1)) v(a) where random() < a)$_$),
  ($_$pg_sleep(0) is null$_$),
  ($_$pg_is_in_recovery()$_$);

\pset tuples_only on
\pset format unaligned
SELECT condition || E'\n    ' || stored(condition) FROM conditions ORDER BY number;

-- Canonical text is its own canonical text, under another search_path too.
CREATE TABLE again AS SELECT stored(condition) AS once FROM conditions;
DELETE FROM again WHERE once ~ '^[0-9A-Z]{5} ';
ALTER FUNCTION stored(text) SET search_path = pg_catalog;
SELECT once || E'\n    ' || stored(once) FROM again WHERE stored(once) <> once;
SELECT count(*) > 100 FROM again;
ALTER FUNCTION stored(text) RESET search_path;

-- Settings of the creator decide how his text is read, and nothing afterwards.
SET TimeZone = 'America/New_York'; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'sql_standard';
SET transform_null_equals = on; SET quote_all_identifiers = on; SET extra_float_digits = -10;
SELECT stored($_$created_at < '01/02/2024 10:00' and d < '01/02/2024' and created_at < now() - interval '-1 10:00'$_$);
SELECT stored($_$kind = null and n::float8 < 0.1::float8 + 0.2::float8 and n < '0.30000000000000004'::float8$_$);
SET escape_string_warning = off; SET standard_conforming_strings = off;
SELECT stored('kind = ''a\\\\b''');
RESET TimeZone; RESET DateStyle; RESET IntervalStyle; RESET standard_conforming_strings; RESET transform_null_equals;
RESET quote_all_identifiers; RESET extra_float_digits; RESET escape_string_warning;
SET TimeZone = 'UTC';

-- The creator's search_path decides what his names mean; what is stored says which.
CREATE SCHEMA expressions_shadow;
CREATE FUNCTION expressions_shadow.lower(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT $1';
CREATE FUNCTION expressions_shadow.never(bigint, int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT false';
CREATE OPERATOR expressions_shadow.= (LEFTARG = bigint, RIGHTARG = int, FUNCTION = expressions_shadow.never);
SELECT stored('lower(kind) = kind and id = 5');
ALTER FUNCTION stored(text) SET search_path = expressions_shadow, pg_catalog, public, expressions;
SELECT stored('lower(kind) = kind and id = 5');
ALTER FUNCTION stored(text) RESET search_path;

-- Guards: no columns, the same rules.
CREATE FUNCTION stored_guard(text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE result text;
BEGIN
  PERFORM cleanup_add_policy('guard', 'expressions.events', 'created_at', '1 day', guard => $1);
  SELECT p.guard INTO result FROM cleanup_policies p WHERE policy = 'guard';
  PERFORM cleanup_drop_policy('guard');
  RETURN regexp_replace(result, ' AS count\M', '', 'g');
EXCEPTION WHEN OTHERS THEN
  RETURN sqlstate || ' ' || sqlerrm;
END $$;
SELECT g || E'\n    ' || stored_guard(g) FROM unnest(ARRAY['true', 'extract(hour from now()) < 6', 'not exists (select from hold)',
  '(select count(*) from hold) < 10', '(select count(*) from events) > 100', 'current_setting(''server_version_num'')::int > 1',
  'id = 1', 'events.id = 1', 'target.id = 1', 'random() < 0.5', 'now() > ''today''', '1', 'count(*) > 1', 'true; select 1', '']) g;

-- The whole of an error: the text that it is about, and a hint.
\pset tuples_only off
\pset format aligned
SELECT cleanup_add_policy('p', 'events', condition => 'id = 1; DROP TABLE events');
SELECT cleanup_add_policy('p', 'events', condition => '1=1) OR (1=1');
SELECT cleanup_add_policy('p', 'events', condition => 'idd = 1');
SELECT cleanup_add_policy('p', 'events', condition => 'id');
SELECT cleanup_add_policy('p', 'events', condition => 'max(id) > 1');
SELECT cleanup_add_policy('p', 'events', condition => 'row_number() OVER () > 1');
SELECT cleanup_add_policy('p', 'events', condition => 'generate_series(1, 2) = 1');
SELECT cleanup_add_policy('p', 'events', condition => 'random() < 0.5');
SELECT cleanup_add_policy('p', 'events', condition => 'd < ''today''::date');
SELECT cleanup_add_policy('p', 'events', condition => 'email IS DISTINCT FROM ''x''');
SELECT cleanup_add_policy('p', 'events', condition => 'events IS NULL');
SELECT cleanup_add_policy('p', 'events', condition => 'id = $1');
SELECT cleanup_add_policy('p', 'events', 'created_at', '1 day', guard => 'id = 1');
SELECT count(*) FROM cleanup_policies;

DROP SCHEMA expressions, expressions_shadow CASCADE;
DROP EXTENSION IF EXISTS citext CASCADE;
