"""A random table, filled, with a policy for it and the plain-SQL model of what the policy means."""

import random_names
from age_model import KINDS
from surface import literal, quote

PERIODS = ["1 hour", "12 hours", "1 day", "30 days", "1 mon", "90 days"]


class RandomTable:
    """Everything is decided by `random`; create() makes it."""

    def __init__(self, random, number):
        self.random = random
        self.schema = quote(random_names.name(random, number))
        self.table = f"{self.schema}.{quote(random_names.name(random, number))}"
        self.id, self.age, self.flag, self.kept, self.number, self.status, self.doc, self.note, self.mood = map(
            quote, random_names.names(random, 9))
        self.log = f"{self.schema}.log_of_changes"
        self.side = f"{self.schema}.side"
        self.kind = random.choice(list(KINDS.values()))
        self.has_age = random.random() < 0.9
        self.zone = random.choice(["UTC", "America/New_York", "Asia/Kolkata", "Pacific/Chatham"])
        self.retain = random.choice(PERIODS) if self.has_age else None
        self.condition = self._condition() if not self.has_age or random.random() < 0.6 else None
        self.rows = random.choice([0, 1, 7, 60, 300, 300, 1500, 1500])
        self.due = random.choice([0.0, 0.01, 0.1, 0.5, 0.9, 1.0])
        self.batch_size = random.choice([None, None, 7, 50, 1000] + ([1] if self.rows <= 60 else []))
        self.partitions = random.choice([None, None, None, "age", "hash", "list", "nested"])
        if self.partitions in ("age", "nested") and self.kind.name == "uuid7":
            self.partitions = "hash"

    def __str__(self):
        return (f"{self.table} age={self.age} {self.kind.name if self.has_age else None} retain={self.retain} zone={self.zone}"
                f" condition={self.condition!r} rows={self.rows} due={self.due} batch_size={self.batch_size} partitions={self.partitions}")

    # -- the table ------------------------------------------------------------------------------------------------------

    def create(self, cleanup):
        random = self.random
        cleanup.sql(f"CREATE SCHEMA {self.schema}")
        cleanup.sql(f"CREATE TYPE {self.schema}.mood AS ENUM ('good', 'bad', 'none')")
        cleanup.sql(f"CREATE DOMAIN {self.schema}.small AS int CHECK (value < 1000)")
        cleanup.sql(f"CREATE TABLE {self.side} AS SELECT x FROM generate_series(0, 99, 7) x")
        cleanup.sql(f"CREATE TABLE {self.log} (n bigserial, id int, op text)")
        columns = [f"{self.id} int NOT NULL", f"{self.age} {self.kind.sql_type}", f"{self.flag} boolean", f"{self.kept} boolean",
                   f"{self.number} {self.schema}.small", f"{self.status} varchar(20)", f"{self.doc} jsonb", f"{self.note} text",
                   f"{self.mood} {self.schema}.mood"]
        random.shuffle(columns)
        dropped = random.random() < 0.4
        if dropped:
            columns.insert(random.randrange(len(columns)), '"dropped column" int')
        options = {"age": f" PARTITION BY RANGE ({self.age})", "nested": f" PARTITION BY RANGE ({self.age})",
                   "hash": f" PARTITION BY HASH ({self.id})", "list": f" PARTITION BY LIST ({self.mood})", None: ""}[self.partitions]
        unlogged = " UNLOGGED" if self.partitions is None and random.random() < 0.1 else ""
        if self.partitions is None:
            options = random.choice(["", "", " WITH (fillfactor = 50)", " WITH (autovacuum_enabled = off)"])
        cleanup.sql(f"CREATE{unlogged} TABLE {self.table} ({', '.join(columns)}){options}")
        self._create_partitions(cleanup)
        if dropped:
            cleanup.sql(f'ALTER TABLE {self.table} DROP COLUMN "dropped column"')
        if self.partitions is None and random.random() < 0.6:
            cleanup.sql(f"ALTER TABLE {self.table} ADD PRIMARY KEY ({self.id})")
        self._fill(cleanup)
        self._index(cleanup)
        if random.random() < 0.6:
            cleanup.sql(f"ANALYZE {self.table}")

    def _create_partitions(self, cleanup):
        part = lambda n: f"{self.schema}.{quote(f'Part {n}')}"  # noqa: E731
        if self.partitions == "hash":
            for n in range(3):
                cleanup.sql(f"CREATE TABLE {part(n)} PARTITION OF {self.table} FOR VALUES WITH (MODULUS 3, REMAINDER {n})")
        elif self.partitions == "list":
            cleanup.sql(f"CREATE TABLE {part(0)} PARTITION OF {self.table} FOR VALUES IN ('good', NULL)")
            cleanup.sql(f"CREATE TABLE {part(1)} PARTITION OF {self.table} DEFAULT")
        elif self.partitions in ("age", "nested"):
            limits = [cleanup.value(f"SELECT quote_literal(({self.kind.value(f'now() - interval {literal(ago)}')})::text)")
                      for ago in ("100 days", "20 days", "10 hours")]
            limits = ["MINVALUE", *limits, "MAXVALUE"]
            for n, (low, high) in enumerate(zip(limits, limits[1:])):
                below = f" PARTITION BY HASH ({self.id})" if self.partitions == "nested" and n == 1 else ""
                cleanup.sql(f"CREATE TABLE {part(n)} PARTITION OF {self.table} FOR VALUES FROM ({low}) TO ({high}){below}")
                if below:
                    for rest in range(2):
                        cleanup.sql(f"CREATE TABLE {part(f'{n}.{rest}')} PARTITION OF {part(n)} FOR VALUES WITH (MODULUS 2, REMAINDER {rest})")
            cleanup.sql(f"CREATE TABLE {part('rest')} PARTITION OF {self.table} DEFAULT")

    def _fill(self, cleanup):
        random = self.random
        cleanup.sql(f"SELECT setseed({random.random()})")
        zone = literal(self.zone)
        period = f"interval '{self.retain or '1 day'}'"
        # Minutes to months around the limit, denser close to it.
        spread = f"interval '1 minute' * (1 + 100000 * random() ^ {random.choice([1, 3, 6])})"
        instant = (f"CASE WHEN random() < {self.due} THEN now() - {period} - {spread}"
                   f" ELSE LEAST(now(), now() - {period} + {spread}) END")
        if self.rows:
            cleanup.sql(
                f"INSERT INTO {self.table} ({self._columns()}) SELECT n, {self.kind.value(instant, zone)}, {self._others()}"
                f" FROM generate_series(1, {self.rows}) n")
        specials = self.kind.specials()
        if self.has_age and self.rows and random.random() < 0.7:
            values = ", ".join(f"({special})" for special in specials)
            cleanup.sql(f"CREATE TABLE {self.schema}.specials (age {self.kind.sql_type})")
            cleanup.sql(f"INSERT INTO {self.schema}.specials VALUES {values}")
            cleanup.sql(f"INSERT INTO {self.table} ({self._columns()})"
                        f" SELECT 1000000 + row_number() OVER (), age, {self._others()} FROM {self.schema}.specials n")
        if random.random() < 0.3:  # rows that moved, and holes
            cleanup.sql(f"UPDATE {self.table} SET {self.note} = 'moved' WHERE {self.id} % 5 = 0")
            cleanup.sql(f"DELETE FROM {self.table} WHERE {self.id} % 7 = 0")
        if random.random() < 0.2:
            cleanup.sql(f"VACUUM {self.table}")

    def _columns(self):
        return ", ".join([self.id, self.age, self.flag, self.kept, self.number, self.status, self.doc, self.note, self.mood])

    def _others(self):
        """SQL of the other columns' values, over a relation n."""
        some = lambda *values: f"(ARRAY[{', '.join(values)}])[1 + floor(random() * {len(values)})::int]"  # noqa: E731
        long = "repeat(md5(random()::text), 100)" if self.random.random() < 0.2 else "md5(random()::text)"
        return (f"{some('true', 'false', 'NULL')}, {some('false', 'NULL', 'false', 'true')}, nullif(floor(random() * 100), 13)::int, "
                + some("'done'", "'Done'", "'open'", "''", "NULL", "'d%ne'") + ", "
                + some("""'{"k": "v", "n": 5}'::jsonb""", """'{"n": 1}'::jsonb""", "NULL", "'[]'::jsonb") + f", {some(long, 'NULL')}, "
                + some("'good'", "'bad'", "'none'", "NULL") + f"::{self.schema}.mood")

    def _index(self, cleanup):
        index = self.random.choice([None, "age", "age", "brin", "desc", "composite", "second", "partial"])
        columns = {"age": f"({self.age})", "brin": f"USING brin ({self.age})", "desc": f"({self.age} DESC NULLS LAST)",
                   "composite": f"({self.age}, {self.number})", "second": f"({self.number}, {self.age})",
                   "partial": f"({self.age}) WHERE {self.flag}"}
        if index and not (index == "brin" and self.partitions == "nested"):
            cleanup.sql(f"CREATE INDEX ON {self.table} {columns[index]}")

    # -- the policy -----------------------------------------------------------------------------------------------------

    def _condition(self):
        random = self.random
        simple = [
            self.flag, f"NOT {self.flag}", f"{self.flag} IS NOT TRUE", f"{self.flag} IS NULL",
            f"{self.status} = 'done'", f"{self.status} IN ('done', 'open')", f"{self.status} <> ALL (ARRAY['done', ''])",
            f"{self.status} LIKE 'd%'", f"{self.status} LIKE 'd\\%ne'", f"{self.status} ~* '^d'", f"lower({self.status}) = 'done'",
            f"{self.status} IS DISTINCT FROM 'open'", f"coalesce({self.status}, 'none') <> 'done'",
            f"{self.number} % 3 = 0", f"{self.number} BETWEEN 10 AND 60", f"{self.number} > 50.5", f"{self.number} NOT IN (1, 2, 3)",
            f"{self.number} NOT IN (SELECT x FROM {self.side})", f"EXISTS (SELECT FROM {self.side} s WHERE s.x = {self.number})",
            f"{self.number} < (SELECT max(x) FROM {self.side})", f"({self.number}, {self.status}) > (50, 'd')",
            f"{self.doc} ->> 'k' = 'v'", f"{self.doc} @> '{{\"n\": 1}}'", f"({self.doc} ->> 'n')::int > 3", f"{self.doc} ? 'k'",
            f"{self.note} IS NULL", f"length({self.note}) > 5", f"{self.note} LIKE '%a%b%'",
            f"{self.mood} = 'good'", f"{self.mood} > 'good'", f"{self.mood} IS NOT NULL",
            f"CASE WHEN {self.flag} THEN {self.number} > 20 ELSE {self.status} = 'done' END",
            f"{self.id} % 2 = 0", f"{self.id} > 20", "true", "NULL::boolean", "1 = 1",
        ]
        first, second = random.choice(simple), random.choice(simple)
        test = random.choice([first, f"NOT ({first})", f"({first}) AND ({second})", f"({first}) OR ({second})"])
        # So that a change of a column can take a row out.
        return f"({test}) AND {self.kept} IS NOT TRUE"

    def add_policy(self, cleanup, policy):
        arguments = {"condition": self.condition, "batch_size": self.batch_size, "time_zone": self.zone}
        if self.has_age:
            arguments |= {"age_column": self.age_name(), "retain": self.retain, **self.kind.policy_arguments}
        cleanup.add_policy(policy, self.table, **arguments)

    def age_name(self):
        return self.age[1:-1].replace('""', '"')

    # -- the model ------------------------------------------------------------------------------------------------------

    def remember(self, cleanup):
        """Keeps the rows as they are now, to be judged later."""
        cleanup.sql(f"DROP TABLE IF EXISTS {self.schema}.remembered")
        cleanup.sql(f"CREATE TABLE {self.schema}.remembered AS SELECT * FROM {self.table}")

    def model(self, cleanup, cutoff):
        """Of the remembered rows, the ids that must go and that may go."""
        condition = f"(({self.condition or 'true'}) IS TRUE)"
        if not self.has_age:
            found = self._remembered_ids(cleanup, condition)
            return found, found
        limit, zone = f"{literal(str(cutoff))}::timestamptz", literal(self.zone)
        return (self._remembered_ids(cleanup, f"{self.kind.must_go(self.age, limit, zone)} AND {condition}"),
                self._remembered_ids(cleanup, f"{self.kind.may_go(self.age, limit, zone)} AND {condition}"))

    def _remembered_ids(self, cleanup, test):
        return {row[0] for row in cleanup.rows(f"SELECT {self.id} AS id FROM {self.schema}.remembered WHERE {test}")}

    def contents(self, cleanup):
        """A hash of each row's contents by id."""
        return dict(cleanup.rows(f"SELECT {self.id} AS id, md5(to_jsonb(whole)::text) AS hash FROM {self.table} whole"))
