\echo Use "ALTER EXTENSION pg_cleanup UPDATE" to load this file. \quit
