CREATE FUNCTION guard_nest(depth int, how text) RETURNS int LANGUAGE c STRICT AS 'MODULE_PATHNAME';
CREATE FUNCTION guard_swallow(times int, depth int, how text) RETURNS int LANGUAGE c STRICT AS 'MODULE_PATHNAME';
CREATE FUNCTION guard_swallow_spi(times int, query text) RETURNS int LANGUAGE c STRICT AS 'MODULE_PATHNAME';
CREATE FUNCTION guard_swallow_cleanup(how text) RETURNS int LANGUAGE c STRICT AS 'MODULE_PATHNAME';
CREATE FUNCTION guard_caught(how text, OUT sqlstate text, OUT message text, OUT detail text, OUT hint text, OUT context text,
  OUT constraint_name text, OUT is_from_postgres boolean) LANGUAGE c STRICT AS 'MODULE_PATHNAME';
CREATE FUNCTION guard_wait(depth int) RETURNS int LANGUAGE c STRICT AS 'MODULE_PATHNAME';
CREATE FUNCTION guard_exhaust_memory(depth int, megabytes int) RETURNS int LANGUAGE c STRICT AS 'MODULE_PATHNAME';
CREATE FUNCTION guard_unlimit_memory() RETURNS void LANGUAGE c STRICT AS 'MODULE_PATHNAME';
CREATE FUNCTION guard_live_objects() RETURNS int LANGUAGE c STRICT AS 'MODULE_PATHNAME';
