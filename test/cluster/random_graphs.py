"""Random graphs of tables: keys with every action, composite, of other types, deferrable, several between two tables, cycles;
partitions, triggers, relations, rows. All of it is decided by the `random` that is given, so a seed repeats it.

Each table has a last row, KEPT, that is never due and refers to nothing: what SET DEFAULT points to.
"""

import dataclasses

ACTIONS = ("NO ACTION", "NO ACTION", "RESTRICT", "CASCADE", "CASCADE", "CASCADE", "CASCADE", "SET NULL", "SET NULL", "SET DEFAULT")
# The type of a table's id, and those of columns that may reference it.
TYPES = {"int": ("int", "bigint", "smallint"), "bigint": ("int", "bigint"), "smallint": ("int", "smallint"),
         "numeric": ("numeric", "int"), "text": ("text", "varchar(9)"), "uuid": ("uuid",)}


@dataclasses.dataclass
class Table:
    name: str
    id_type: str
    rows: int  # numbered from 0; the last one is KEPT
    partitioned: bool = False
    columns: dict = dataclasses.field(default_factory=dict)  # name: SQL type and default
    defaults: dict = dataclasses.field(default_factory=dict)  # name: what SET DEFAULT sets
    data: list = dataclasses.field(default_factory=list)  # of dicts
    alts: list = dataclasses.field(default_factory=list)

    @property
    def kept(self):
        return self.rows - 1

    @property
    def middle(self):
        """From this row on they are in the second partition."""
        return self.rows // 2

    def id_of(self, n):
        if self.id_type == "text":
            return f"r{n:05}"
        return f"00000000-0000-7000-8000-{n:012}" if self.id_type == "uuid" else n

    def holds(self, part, n):
        """Whether row n is in this partition, or the table."""
        return {None: True, "a": n < self.middle, "b": n >= self.middle}[part]

    def rows_in(self, part):
        return [n for n in range(self.rows) if self.holds(part, n)]


@dataclasses.dataclass
class Key:
    """A foreign key."""
    name: str
    child: str
    columns: tuple
    parent: str
    parent_columns: tuple
    action: str
    set_columns: tuple  # what SET NULL and SET DEFAULT set
    child_part: str = None  # declared on this partition alone
    parent_part: str = None
    deferrable: str = ""
    full: bool = False  # MATCH FULL

    @property
    def sets(self):
        return self.action.startswith("SET")

    @property
    def blocks(self):
        return self.action in ("NO ACTION", "RESTRICT")

    def declaration(self, schema):
        only = self.sets and len(self.set_columns) < len(self.columns)
        return (f"ALTER TABLE {schema}.{part_name(self.child, self.child_part)} ADD CONSTRAINT {self.name}"
                f" FOREIGN KEY ({', '.join(self.columns)}) REFERENCES {schema}.{part_name(self.parent, self.parent_part)}"
                f" ({', '.join(self.parent_columns)}){' MATCH FULL' if self.full else ''}"
                f" ON DELETE {self.action}{' (' + ', '.join(self.set_columns) + ')' if only else ''}{self.deferrable}")


@dataclasses.dataclass
class Relation:
    related: str
    on_columns: dict  # column of the target: column of related
    unless_referenced: bool


def part_name(table, part):
    return f"{table}_{part}" if part else table


class Graph:
    """A schema of its own with one to eight tables. create() makes it; target, part, condition say what a policy is about.

    options: relations (soft references of the target), triggers (audit, counters, vetoes), partitions, most_tables, most_rows.
    Of each table the columns n (number of the row), id, code, alt, at, grp, kept (a trigger vetoes its deletion), frozen (one
    vetoes its update), children (counter), note, and one for each reference.
    """

    def __init__(self, random, schema="world", relations=True, triggers=True, partitions=True, most_tables=8, most_rows=12):
        self.random, self.schema = random, schema
        self.tables, self.keys, self.relations = {}, [], []
        self.audited, self.vetoing, self.freezing, self.counters = set(), set(), set(), []
        self.foreign = set()  # tables of another owner than the target's
        for number in range(random.randint(1, most_tables)):
            table = Table(f"t{number}", random.choice(list(TYPES)), random.randint(3, most_rows),
                          partitions and random.random() < 0.2)
            table.alts = [None if random.random() < 0.2 else 100 + n for n in range(table.rows)]
            self.tables[table.name] = table
            self._base_columns(table)
        names = list(self.tables)
        for _ in range(random.randint(len(names), 3 * len(names))):
            self._add_key(random.choice(names), random.choice(names))
        self.target = random.choice(names + 3 * [key.parent for key in self.keys])
        self.part = random.choice([None, None, "a", "b"]) if self.tables[self.target].partitioned else None
        self.condition = random.choice([None, None, "grp > 0", "grp <> 1 OR code = 0"])
        if relations and random.random() < 0.5:
            for _ in range(random.randint(1, 2)):
                self._add_relation(random.choice(names))
        if triggers:
            self._choose_triggers()
        for table in self.tables.values():
            self._fill(table)

    # -- what it is made of -----------------------------------------------------------------------------------------------

    def _base_columns(self, table):
        table.columns = {"n": "int NOT NULL", "id": f"{table.id_type} NOT NULL", "code": "int NOT NULL", "alt": "int",
                         "at": "timestamptz", "grp": "int NOT NULL", "kept": "boolean NOT NULL", "frozen": "boolean NOT NULL",
                         "children": "int NOT NULL", "note": "text"}

    def _add_key(self, child, parent):
        random, number = self.random, len(self.keys)
        table, other = self.tables[child], self.tables[parent]
        # A partition cannot reference its own table, nor a table one of its partitions.
        child_part = random.choice("ab") if table.partitioned and child != parent and random.random() < 0.15 else None
        parent_part = random.choice("ab") if other.partitioned and child != parent and random.random() < 0.15 else None
        referenced = random.choice([("id",), ("id",), ("id", "code"), ("code", "id")] + ([] if other.partitioned else [("alt",)]))
        action = random.choice(ACTIONS)
        twin = self._shareable(child, parent, parent_part, referenced, action)
        columns = []
        for position, name in enumerate(referenced):
            if twin and name == "id":
                columns.append(twin.columns[twin.parent_columns.index("id")])
                continue
            column = f"f{number}_{position}"
            sql_type = random.choice(TYPES[other.id_type]) if name == "id" else random.choice(["int", "bigint"])
            to_kept = action == "SET DEFAULT" and random.random() < 0.7 and parent_part != "a"
            value = {"id": other.id_of(other.kept), "code": other.kept % 3, "alt": None}[name] if to_kept else None
            table.columns[column] = sql_type + (f" DEFAULT '{value}'" if value is not None else "")
            table.defaults[column] = value
            columns.append(column)
        full = len(columns) > 1 and not twin and random.random() < 0.2
        if full:  # all or none
            for column, name in zip(columns, referenced):
                if table.defaults[columns[0]] is None or table.defaults[columns[1]] is None:
                    table.columns[column], table.defaults[column] = table.columns[column].split(" DEFAULT")[0], None
        set_columns = tuple(columns)
        if len(columns) > 1 and not full and random.random() < 0.4:
            one = random.choice(columns)
            if action == "SET NULL" or table.defaults[one] is None:
                set_columns = (one,)
        deferrable = random.choice(["", "", "", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED"])
        self.keys.append(Key(f"k{number}", child, tuple(columns), parent, referenced, action, set_columns, child_part, parent_part,
                             deferrable, full))

    def _shareable(self, child, parent, part, referenced, action):
        """A key between the same tables whose column for the id a second one can share. What comes of it must not depend on
        which acts first: one that sets columns only shares with CASCADE, which beats it."""
        if "id" not in referenced or self.random.random() < 0.5:
            return None
        for key in self.keys:
            if ((key.child, key.parent, key.parent_part, key.full) == (child, parent, part, False) and "id" in key.parent_columns
                    and not self.sharers(key) and action != "SET DEFAULT"
                    and (not key.sets and not action.startswith("SET") or "CASCADE" in (key.action, action))):
                return key
        return None

    def sharers(self, key):
        return [other for other in self.keys if other is not key and set(other.columns) & set(key.columns)]

    def _add_relation(self, related):
        random, number = self.random, len(self.relations)
        target, other = self.tables[self.target], self.tables[related]
        if related in [relation.related for relation in self.relations]:
            return
        # Not in a chain through the target itself: how far it goes is up to which rows are in one batch.
        unless_referenced = random.random() < 0.7 and related != self.target
        direction = random.choice(["child", "parent", "parent", "key", "composite"])
        keys = [key for key in self.keys if (key.child, key.parent, key.sets) == (self.target, related, False)
                and not any(sharer.sets for sharer in self.sharers(key))]
        if direction == "key" and keys:  # the row that a foreign key of the target points to
            key = random.choice(keys)
            types = [target.columns[column].split()[0] for column in key.columns]
            if types == [other.columns[column].split()[0] for column in key.parent_columns]:
                self.relations.append(Relation(related, dict(zip(key.columns, key.parent_columns)), unless_referenced))
                return
        if direction == "child":
            other.columns[f"s{number}"] = target.id_type
            on_columns = {"id": f"s{number}"}
        elif direction == "composite":
            target.columns[f"s{number}"], target.columns[f"s{number}_code"] = other.id_type, "int"
            on_columns = {f"s{number}": "id", f"s{number}_code": "code"}
        else:
            target.columns[f"s{number}"] = other.id_type
            on_columns = {f"s{number}": "id"}
        self.relations.append(Relation(related, on_columns, unless_referenced))

    def _choose_triggers(self):
        """Vetoes only where they cannot be in the way of a row that may as well stay: which family gives way would be by
        chance. A counter only where nothing sets the column that it counts by, nor any in the row that counts: PostgreSQL
        checks a reference again when a row is changed twice, and finds it broken that is about to be set."""
        random = self.random
        optional = self._reached({relation.related for relation in self.relations if relation.unless_referenced})
        for name in self.tables:
            if random.random() < 0.3:
                self.audited.add(name)
            if random.random() < 0.15 and name not in optional:
                self.vetoing.add(name)
        set_tables = {key.child for key in self.keys if key.sets}
        for key in self.keys:
            if not key.sets and key.parent not in set_tables and not self.sharers(key) and len(key.columns) == 1 and random.random() < 0.15:
                self.counters.append(key)
        if not optional:
            counted = {key.parent for key in self.counters}
            self.freezing = {name for name in self.tables if name not in counted and random.random() < 0.1}

    def _reached(self, names):
        """The tables whose rows go with rows of these."""
        names = set(names)
        while more := {key.child for key in self.keys if key.action == "CASCADE" and key.parent in names} - names:
            names |= more
        return names

    def dependent_tables(self):
        """The tables whose rows may go with a row of the target; the target itself only if its rows take others of it along."""
        first = {key.child for key in self.keys if key.action == "CASCADE" and key.parent == self.target}
        return self._reached(first | {relation.related for relation in self.relations})

    # -- rows -------------------------------------------------------------------------------------------------------------

    def _fill(self, table):
        random = self.random
        due = random.choice([0.3, 0.6, 0.9])
        density = random.choice([0.2, 0.5, 0.8])
        for n in range(table.rows):
            kept = n == table.kept
            age = "1 day" if kept else random.choices(["40 days", "1 day", "none", "-infinity"], [due, 1 - due, 0.03, 0.02])[0]
            row = {"n": n, "id": table.id_of(n), "code": n % 3, "alt": table.alts[n], "at": age,
                   "grp": random.randrange(4), "kept": not kept and table.name in self.vetoing and random.random() < 0.1,
                   "frozen": table.name in self.freezing and random.random() < 0.15, "children": 0, "note": f"{table.name}/{n}"}
            row |= {column: None for column in table.columns if column not in row}
            table.data.append(row)
        for row in table.data[:-1]:
            for key in self.keys:
                if key.child == table.name and table.holds(key.child_part, row["n"]) and random.random() < density:
                    self._point(row, key)
            for relation in self.relations:
                if random.random() < 0.7:
                    self._point_softly(row, table, relation)

    def _other(self, table, part):
        """A row to point to, but not KEPT where another is to be had."""
        return self.random.choice([n for n in table.rows_in(part) if n != table.kept] or [table.kept])

    def _point(self, row, key):
        table = self.tables[key.parent]
        n = self._other(table, key.parent_part)
        taken = [column for column, name in zip(key.columns, key.parent_columns) if row[column] is not None]
        if taken:  # shared with another key: point to the same row
            n = next(m for m in range(table.rows) if table.id_of(m) == row[taken[0]])
        values = {"id": table.id_of(n), "code": n % 3, "alt": table.alts[n]}
        for column, name in zip(key.columns, key.parent_columns):
            # Half of a key may be NULL, and then it references nothing.
            half = len(key.columns) > 1 and not key.full and not self.sharers(key)
            if column not in taken and not (half and self.random.random() < 0.1):
                row[column] = values[name]

    def _point_softly(self, row, table, relation):
        other = self.tables[relation.related]
        if any(not column.startswith("s") for column in relation.on_columns) and relation.on_columns.keys() != {"id"}:
            return  # a foreign key's columns
        if "id" in relation.on_columns:
            n = self.random.randrange(self.tables[self.target].rows)
            if table is other and (other.name, row["n"]) != (self.target, n):
                row[relation.on_columns["id"]] = self.tables[self.target].id_of(n)
        if table.name == self.target and "id" not in relation.on_columns:
            n = self._other(other, None)
            if (other.name, n) == (table.name, row["n"]):
                return
            dangling = self.random.random() < 0.1  # what nothing guards may point nowhere
            for column, name in relation.on_columns.items():
                row[column] = {"id": other.id_of(97 if dangling else n), "code": n % 3}[name]

    # -- making it --------------------------------------------------------------------------------------------------------

    def create(self, cleanup):
        """Drops the schema first if it is there."""
        statements = [f"DROP SCHEMA IF EXISTS {self.schema} CASCADE", f"CREATE SCHEMA {self.schema}"]
        statements += [f"CREATE TABLE {self.schema}.audit (tbl text, n int)"] + self._functions()
        for table in self.tables.values():
            statements += self._create(table)
        with cleanup.connection.cursor() as cursor:
            cursor.execute("SET client_min_messages = warning; " + "; ".join(statements))
            for table in self.tables.values():
                self._insert(cursor, table)
            for key in self.counters:
                cursor.execute(f"UPDATE {self.schema}.{key.parent} p SET children = children + (SELECT count(*)"
                               f" FROM {self.schema}.{key.child} c WHERE c.{key.columns[0]} = p.{key.parent_columns[0]})")
            later = [key.declaration(self.schema) for key in self.keys]
            later += [f"CREATE INDEX ON {self.schema}.{key.child} ({', '.join(key.columns)})" for key in self.keys
                      if self.random.random() < 0.6]
            cursor.execute("; ".join(later + self._triggers() + ["SELECT"]))

    def give_away(self, cleanup, owner, neighbour):
        """All tables belong to `owner`, but some that only constraints lead to, which are the neighbour's, for `owner` to read.
        Not those where the order in which constraints act decides what becomes of a row: that is up to their names."""
        random = self.random
        setting = [key.child for key in self.keys if key.sets]
        ours = {self.target} | {relation.related for relation in self.relations}
        ours |= {key.child for key in self.keys if key.sets and self.sharers(key) or setting.count(key.child) > 1}
        self.foreign = {name for name in self.tables if name not in ours and random.random() < 0.5}
        statements = [f"GRANT USAGE ON SCHEMA {self.schema} TO {owner}, {neighbour}"]
        statements += [f"ALTER FUNCTION {self.schema}.{name}() SECURITY DEFINER" for name in ("audit", "count")]
        for table in self.tables.values():
            parts = [part_name(table.name, part) for part in ([None, "a", "b"] if table.partitioned else [None])]
            for part in parts:
                statements.append(f"ALTER TABLE {self.schema}.{part} OWNER TO {neighbour if table.name in self.foreign else owner}")
            if table.name in self.foreign:  # who may read a table may not always read a partition of it by itself
                alone = any(key.child_part and key.child == table.name or key.parent_part and key.parent == table.name
                            for key in self.keys)
                for part in parts if alone or random.random() < 0.5 else parts[:1]:
                    statements.append(f"GRANT SELECT ON {self.schema}.{part} TO {owner}")
        cleanup.sql("; ".join(statements))

    def _create(self, table):
        name = f"{self.schema}.{table.name}"
        columns = [f"{column} {definition}" for column, definition in table.columns.items()]
        made = [f"CREATE TABLE {name} ({', '.join(columns)}, PRIMARY KEY (id), UNIQUE (id, code), UNIQUE (code, id)"
                + ("" if table.partitioned else ", UNIQUE (alt)") + ")" + (" PARTITION BY RANGE (id)" if table.partitioned else "")]
        if table.partitioned:
            middle = f"('{table.id_of(table.middle)}')"
            self.random.shuffle(columns)  # one partition has its columns in another order, and a dropped one
            made += [f"CREATE TABLE {name}_b (gone int, {', '.join(columns)})", f"ALTER TABLE {name}_b DROP COLUMN gone",
                     f"ALTER TABLE {name} ATTACH PARTITION {name}_b FOR VALUES FROM {middle} TO (MAXVALUE)",
                     f"CREATE TABLE {name}_a PARTITION OF {name} FOR VALUES FROM (MINVALUE) TO {middle}"]
        if self.random.random() < 0.5:
            made.append(f"CREATE INDEX ON {name} (at)")
        return made

    def _insert(self, cursor, table):
        columns = list(table.columns)
        rows = []
        for row in table.data:
            values = [cursor.mogrify("%s", [row[column]]).decode() for column in columns]
            at = row["at"]
            values[columns.index("at")] = {"none": "NULL", "-infinity": "'-infinity'"}.get(at, f"now() - interval '{at}'")
            rows.append(f"({', '.join(values)})")
        # Not in the order of their numbers: which rows are deleted together is by their place.
        self.random.shuffle(rows)
        cursor.execute(f"INSERT INTO {self.schema}.{table.name} ({', '.join(columns)}) VALUES {', '.join(rows)}")

    def _functions(self):
        return [
            f"CREATE FUNCTION {self.schema}.audit() RETURNS trigger LANGUAGE plpgsql AS"
            f" $$ BEGIN INSERT INTO {self.schema}.audit VALUES (TG_ARGV[0], OLD.n); RETURN NULL; END $$",
            f"CREATE FUNCTION {self.schema}.veto() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN IF OLD.kept THEN RETURN NULL; END IF; RETURN OLD; END $$",
            f"CREATE FUNCTION {self.schema}.no_update() RETURNS trigger LANGUAGE plpgsql AS"
            " $$ BEGIN IF OLD.frozen THEN RETURN NULL; END IF; RETURN NEW; END $$",
            f"CREATE FUNCTION {self.schema}.count() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE format("
            f"'UPDATE {self.schema}.%I SET children = children - 1 WHERE %I = ($1).%I', TG_ARGV[0], TG_ARGV[1], TG_ARGV[2]) USING OLD;"
            " RETURN NULL; END $$"]

    def _triggers(self):
        on = lambda name: f"ON {self.schema}.{name} FOR EACH ROW EXECUTE FUNCTION {self.schema}."  # noqa: E731
        return ([f"CREATE TRIGGER audit AFTER DELETE {on(name)}audit('{name}')" for name in sorted(self.audited)]
                + [f"CREATE TRIGGER veto BEFORE DELETE {on(name)}veto()" for name in sorted(self.vetoing)]
                + [f"CREATE TRIGGER no_update BEFORE UPDATE {on(name)}no_update()" for name in sorted(self.freezing)]
                + [f"CREATE TRIGGER count_{key.name} AFTER DELETE {on(key.child)}count('{key.parent}', '{key.parent_columns[0]}',"
                   f" '{key.columns[0]}')" for key in self.counters])

    # -- using it ---------------------------------------------------------------------------------------------------------

    @property
    def target_name(self):
        return f"{self.schema}.{part_name(self.target, self.part)}"

    def add_policy(self, cleanup, policy, relations=True, **named):
        """Rows older than 30 days that meet the condition, with the relations."""
        named = {"condition": self.condition, "time_zone": "UTC", **named}
        cleanup.add_policy(policy, self.target_name, "at", "30 days", **named)
        for relation in self.relations if relations else []:
            cleanup.sql("SELECT cleanup_add_relation(%s, %s, jsonb_object(%s, %s), %s)",
                        [policy, f"{self.schema}.{relation.related}", list(relation.on_columns), list(relation.on_columns.values()),
                         relation.unless_referenced])

    def contents(self, cursor):
        """{(table, n): {column: value}}, as the cursor's transaction sees it."""
        found = {}
        for table in self.tables.values():
            columns = list(table.columns)
            cursor.execute(f"SELECT {', '.join(columns)} FROM {self.schema}.{table.name}")
            for values in cursor.fetchall():
                row = dict(zip(columns, values))
                found[table.name, row["n"]] = row
        return found

    def eligible(self, cursor):
        """The numbers of the rows of the target that are due, in plain SQL."""
        cursor.execute(f"SELECT n FROM {self.target_name} WHERE at < now() - interval '30 days' AND at > '-infinity'"
                       f" AND ({self.condition or 'true'})")
        return {row[0] for row in cursor.fetchall()}

    def __str__(self):
        lines = [f"target {self.target_name} WHERE {self.condition}"]
        lines += [f"{table.name} ({table.rows} rows, id {table.id_type}{', partitioned' if table.partitioned else ''})"
                  for table in self.tables.values()]
        lines += [key.declaration(self.schema) for key in self.keys] + [str(relation) for relation in self.relations]
        lines += [f"audited {self.audited} vetoing {self.vetoing} freezing {self.freezing} counters {[key.name for key in self.counters]}"
                  f" foreign {self.foreign}"]
        return "\n".join(lines)
