"""A hostile owner's table, what he tries wherever his code runs, and what must be true afterwards.

His code logs who it runs as, so the log also shows what was rolled back or ran in a read-only worker.
"""

import re

from surface import Cleanup

DUE, YOUNG, BATCH = 300, 50, 20

# What he tries: each may fail; whoever he is after it is logged.
TEMPTATIONS = [
    "SET ROLE postgres", "SET LOCAL ROLE postgres", "SET SESSION AUTHORIZATION postgres", "SET SESSION AUTHORIZATION DEFAULT",
    "RESET ROLE", "RESET SESSION AUTHORIZATION", "SET ROLE NONE", "RESET ALL",
    "SELECT set_config('role', 'postgres', false)", "SELECT set_config('session_authorization', 'postgres', false)",
    "UPDATE pg_settings SET setting = 'postgres' WHERE name = 'role'",
    "SET ROLE pg_write_server_files", "SET ROLE victim",
    "ALTER ROLE {owner} SUPERUSER", "CREATE ROLE evil SUPERUSER LOGIN", "ALTER USER victim PASSWORD 'x'",
    "CREATE TABLE crown.jewel AS SELECT 1", "DELETE FROM private.secret", "INSERT INTO private.secret VALUES ('graffiti')",
    "SET session_replication_role = replica", "COPY (SELECT 1) TO PROGRAM 'true'", "SELECT pg_read_file('postgresql.conf')",
    "INSERT INTO public.cleanup_audit (actor, event, policy) VALUES ('forged', 'forged', 'forged')",
    "UPDATE public.cleanup_audit SET actor = 'forged'", "DELETE FROM public.cleanup_audit", "TRUNCATE public.cleanup_audit",
    "UPDATE public.cleanup_run_targets SET rows = rows + 1000000, dependent_rows = 1000000",
    "INSERT INTO public.cleanup_runs (trigger, requested_by, started_at, status) VALUES ('cron', 'forged', now(), 'succeeded')",
    "UPDATE public.cleanup_runs SET status = 'succeeded', message = 'forged'",
    "UPDATE public.cleanup_policies SET condition = NULL, retain = '0'", "DELETE FROM public.cleanup_policies WHERE policy <> 'attack'",
    "SELECT public.cleanup_run('honest', force => true, wait => false)", "SELECT public.cleanup_cancel(1)",
    "SELECT public.cleanup_pause('forged')", "SELECT public.cleanup_drop_policy('honest')",
    "SELECT public.cleanup_grant('{owner}', 'admin')", "SELECT public.cleanup_revoke('{owner}', 'admin')",
    "INSERT INTO public.cleanup_grants (role, level) VALUES ('{owner}', 'admin')",
    "INSERT INTO public.cleanup_grant_bindings SELECT 1, oid FROM pg_roles WHERE rolname = '{owner}'",
    "ALTER TABLE public.cleanup_audit DISABLE ROW LEVEL SECURITY", "GRANT ALL ON public.cleanup_policies TO {owner}",
    "SELECT nextval('public.cleanup_audit_audit_id_seq')",
    "LOCK TABLE public.cleanup_policies IN ACCESS EXCLUSIVE MODE", "LOCK TABLE public.cleanup_audit IN SHARE MODE",
    "ALTER TABLE public.cleanup_audit DISABLE TRIGGER ALL", "DROP EXTENSION pg_cleanup",
]


def prepare_server(server):
    """The roles, once a server: an owner who may log in, one who may not, and others."""
    server.sql("CREATE ROLE mallory LOGIN")
    server.sql("CREATE ROLE mallory_group NOLOGIN")
    server.sql("CREATE ROLE victim LOGIN")
    server.sql("CREATE ROLE alice LOGIN")
    server.sql("CREATE ROLE eve LOGIN")


class OwnerWorld:
    """A database with the owner's schema m and table m.t (due rows first), a witness, and the treasure of others."""

    def __init__(self, server, dbname, owner):
        self.server, self.dbname, self.owner = server, dbname, owner
        self.cleanup = Cleanup(server, dbname)
        sql = self.cleanup.sql
        sql(f"""
            CREATE SCHEMA m AUTHORIZATION {owner};
            CREATE SCHEMA crown; CREATE SCHEMA private;
            CREATE TABLE private.secret AS SELECT 'secret' AS word;
            GRANT USAGE ON SCHEMA public, private, crown TO PUBLIC;
            CREATE SCHEMA eves AUTHORIZATION eve;
            CREATE TABLE public.honest (id int, at timestamptz);
            INSERT INTO public.honest SELECT n, now() - n * interval '1 day' FROM generate_series(1, 60) n;
            ALTER TABLE public.honest OWNER TO alice;
            """)
        tries = "\n".join(
            f"BEGIN EXECUTE $x${temptation.format(owner=owner)}$x$; PERFORM m.witness(tag || ' did ' || $x${temptation.format(owner=owner)}$x$);"
            f" EXCEPTION WHEN OTHERS THEN NULL; END;" for temptation in TEMPTATIONS)
        self.as_owner(f"""
            CREATE FUNCTION m.witness(tag text) RETURNS void LANGUAGE plpgsql AS $f$
            BEGIN RAISE LOG 'WITNESS [%] [%] [%] [%]', current_database(), current_user, session_user, tag; END $f$;
            CREATE FUNCTION m.payload(tag text) RETURNS void LANGUAGE plpgsql AS $f$
            BEGIN PERFORM m.witness(tag); {tries} PERFORM m.witness(tag || ' end'); END $f$;
            CREATE FUNCTION m.true_by_payload(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $f$
            BEGIN IF $1 % 50 = 1 THEN PERFORM m.payload('function'); END IF; RETURN true; END $f$;
            CREATE TABLE m.t (id int PRIMARY KEY, at timestamptz, note text);
            INSERT INTO m.t SELECT n, now() - CASE WHEN n <= {DUE} THEN interval '60 days' ELSE interval '1 day' END, 'note ' || n
              FROM generate_series(1, {DUE + YOUNG}) n;
            """)
        sql("ANALYZE m.t")

    def as_owner(self, script, role=None):
        """Runs statements in a session of the owner's own, also of one who may not log in: in a superuser's session that
        is only switched to him, what he tries would work."""
        role = role or self.owner
        may_login = self.cleanup.value("SELECT rolcanlogin FROM pg_roles WHERE rolname = %s", [role])
        self.cleanup.sql(f"ALTER ROLE {role} LOGIN")
        connection = self.server.connect(self.dbname, role)
        with connection.cursor() as cursor:
            cursor.execute("SET client_min_messages = error")
            cursor.execute(script)
        connection.close()
        if not may_login:
            self.cleanup.sql(f"ALTER ROLE {role} NOLOGIN")

    def trigger(self, body, when="BEFORE DELETE", table="m.t", name="attack", level="ROW", constraint=""):
        """A trigger of the owner's; the body sees OLD and must return."""
        self.as_owner(f"""
            CREATE FUNCTION m.{name}() RETURNS trigger LANGUAGE plpgsql AS $trigger$ {body} $trigger$;
            CREATE {'CONSTRAINT ' if constraint else ''}TRIGGER {name} {when} ON {table} {constraint} FOR EACH {level} EXECUTE FUNCTION m.{name}();
            """)

    def add_policy(self, **named):
        named = {"batch_size": BATCH, **named}
        self.cleanup.add_policy("attack", "m.t", "at", "30 days", **named)

    def everything(self):
        """All that a superuser does with a policy; the last run's result, and the dry run's."""
        planned = attempt(lambda: self.cleanup.dry_run("attack"))
        attempt(lambda: self.cleanup.preview("attack"))
        for look in ("SELECT * FROM cleanup_stats()", "SELECT * FROM cleanup_check()", "TABLE cleanup_progress"):
            attempt(lambda look=look: self.cleanup.rows(look))
        return planned, self.cleanup.run("attack")

    # -- what must be true ------------------------------------------------------------------------------------------------

    def witnesses(self):
        """(current user, session user, tag) of each time his code said who it is, in this database."""
        return re.findall(rf"WITNESS \[{self.dbname}\] \[(.*?)\] \[(.*?)\] \[(.*?)\]", self.server.log())

    def ids(self, where="true"):
        return {row.id for row in self.cleanup.rows(f"SELECT id FROM m.t WHERE {where}")}

    def check(self, allowed=("mallory", "mallory_group"), must_witness=True):
        """Nobody became anybody, nothing was forged, nothing of others was touched."""
        witnesses = self.witnesses()
        assert witnesses or not must_witness, "his code did not run: the test proves nothing"
        strangers = [witness for witness in witnesses if witness[0] != self.owner and witness[0] not in allowed]
        assert not strangers, f"his code ran as somebody else: {strangers[:5]}"
        if self.owner == "mallory":
            others = [witness for witness in witnesses if witness[1] not in ("mallory", "eve", "postgres")]
            assert not others, others[:5]
        value = self.cleanup.value
        assert value("SELECT count(*) FROM pg_roles WHERE rolname = 'evil' OR (rolsuper AND rolname <> 'postgres')") == 0
        assert value("SELECT string_agg(word, ',') FROM private.secret") == "secret"
        assert value("SELECT count(*) FROM pg_class WHERE relnamespace = 'crown'::regnamespace") == 0
        assert value("SELECT count(*) FROM cleanup_audit WHERE to_jsonb(cleanup_audit)::text LIKE '%forged%'") == 0
        assert value("SELECT count(*) FROM cleanup_runs WHERE requested_by <> 'postgres' OR message LIKE '%forged%'") == 0
        assert value("SELECT count(*) FROM cleanup_run_targets WHERE rows > 1000 OR dependent_rows > 1000") == 0
        assert value("SELECT count(*) FROM cleanup_pauses") == 0
        assert value("SELECT (SELECT count(*) FROM cleanup_grants) + (SELECT count(*) FROM cleanup_grant_bindings)") == 0
        assert value("SELECT count(*) FROM public.honest") in (60, 29, 30)
        self.cleanup.wait_for_no_workers()
        log = self.server.log()
        assert "PANIC" not in log and "terminated by signal" not in log, log[-3000:]

    def check_young(self):
        assert len(self.ids(f"id BETWEEN {DUE + 1} AND {DUE + YOUNG}")) == YOUNG, "young rows are gone"

    def check_counted(self, done):
        """The counters are what is missing of the due rows."""
        assert done.rows == DUE - len(self.ids(f"id <= {DUE}")), done
        counted = self.cleanup.value("SELECT sum(rows) FROM cleanup_run_targets WHERE run_id = %s AND kind = 'target'", [done.run_id])
        assert counted == done.rows, done

    def check_all_gone(self, done):
        assert done.status == "succeeded" and done.rows == DUE and done.skipped_rows == 0, done
        self.check_counted(done)
        self.check_young()

    def check_others_still_work(self):
        """The next policy, of another owner, is not affected."""
        if not self.cleanup.rows("SELECT 1 FROM cleanup_policies WHERE policy = 'honest'"):
            self.cleanup.add_policy("honest", "public.honest", "at", "30 days")
        done = self.cleanup.run("honest")
        assert done.status == "succeeded" and self.cleanup.value("SELECT count(*) FROM public.honest") <= 30, done


def attempt(call):
    """What a call gives, or its error."""
    try:
        return call()
    except Exception as error:  # pylint: disable=broad-except
        return error
