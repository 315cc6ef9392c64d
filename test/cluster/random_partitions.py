"""Random partitioned tables by age, to compare what goes as a whole with what goes row by row."""

from datetime import datetime, timedelta, timezone

from age_model import KINDS
from surface import literal

ZONES = ["UTC", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia"]
# Around nights in which the clocks of some zone are changed, too.
CUTOFFS = [datetime(2025, 6, 11, 14, 33, 7, 250000, timezone.utc), datetime(2025, 11, 2, 5, 30, tzinfo=timezone.utc),
           datetime(2025, 3, 9, 7, 0, tzinfo=timezone.utc), datetime(2025, 4, 5, 14, 50, tzinfo=timezone.utc),
           datetime(2025, 1, 1, tzinfo=timezone.utc)]
LAYOUTS = ["range", "range", "range, id", "list of range", "range of list", "range of hash", "range of range"]


class RandomPartitions:
    """`make(name)` makes the same tree of partitions with the same rows as often as it is called."""

    def __init__(self, random):
        self.random = random
        self.kind = random.choice([*KINDS.values()])
        self.zone = random.choice(ZONES)
        self.cutoff = random.choice(CUTOFFS)
        self.layout = random.choice(LAYOUTS)
        self.has_default = random.random() < 0.6
        self.minvalue, self.maxvalue = random.random() < 0.3, random.random() < 0.3
        self.gap = random.random() < 0.3
        unit = random.choice([timedelta(minutes=30), timedelta(hours=6), timedelta(days=1)])
        steps = sorted(random.sample(range(-12, 8), random.randint(3, 9)))
        exact = self.cutoff if random.random() < 0.5 else self.cutoff.replace(minute=0, second=0, microsecond=0)
        self.times = [exact + step * unit for step in steps]
        self.unit, self.rows = unit, random.randint(50, 400)
        self.row_seed = random.randrange(10**9)
        self.bounds = None  # the same for every table: a uuid's tail is random
        self.from_time = self.cutoff - random.randint(1, 10) * unit if random.random() < 0.2 else None

    def __str__(self):
        return (f"{self.kind.name} in {self.zone}, cutoff {self.cutoff}, {self.layout}, default {self.has_default}, minvalue {self.minvalue},"
                f" maxvalue {self.maxvalue}, bounds {[str(time) for time in self.times]}, age_from {self.from_time}")

    @property
    def window(self):
        named = {"as_of": str(self.cutoff)}
        return named if self.from_time is None else {**named, "age_from": str(self.from_time)}

    def value(self, time):
        return self.kind.value(f"{literal(str(time))}::timestamptz", literal(self.zone))

    def make(self, cleanup, name, copied=None):
        """An empty tree filled at random, or with the rows of `copied`."""
        cleanup.sql("SET client_min_messages = warning")
        keys = {"range, id": "RANGE (age, id)", "list of range": "LIST (mood)"}.get(self.layout, "RANGE (age)")
        cleanup.sql(f"CREATE TABLE {name} (id int NOT NULL, filler text, mood text NOT NULL, age {self.kind.sql_type}) PARTITION BY {keys}")
        if self.layout == "list of range":
            for mood in ("a", "b"):
                cleanup.sql(f"CREATE TABLE {name}_{mood} PARTITION OF {name} FOR VALUES IN ('{mood}') PARTITION BY RANGE (age)")
                self._make_ranges(cleanup, f"{name}_{mood}")
        else:
            self._make_ranges(cleanup, name)
        if copied:
            cleanup.sql(f"INSERT INTO {name} SELECT * FROM {copied}")
        else:
            self._fill(cleanup, name)

    def _bounds(self, cleanup):
        if self.bounds is None:
            self.bounds = self._make_bounds(cleanup)
        return self.bounds

    def _make_bounds(self, cleanup):
        bounds = cleanup.rows("SELECT v::text FROM (SELECT DISTINCT v FROM (VALUES " + ", ".join(f"({self.value(time)})" for time in self.times)
                              + ") x (v)) y ORDER BY y.v")
        bounds = [literal(bound[0]) for bound in bounds]
        pairs = list(zip(bounds, bounds[1:]))
        if self.gap and len(pairs) > 2:
            del pairs[1]
        if self.minvalue:
            pairs.insert(0, ("MINVALUE", bounds[0]))
        if self.maxvalue:
            pairs.append((bounds[-1], "MAXVALUE"))
        return pairs

    def _make_ranges(self, cleanup, parent):
        below = {"range of list": " PARTITION BY LIST (mood)", "range of hash": " PARTITION BY HASH (id)", "range of range": " PARTITION BY RANGE (age)"}
        for n, (low, high) in enumerate(self._bounds(cleanup)):
            name, is_split = f"{parent}_p{n}", self.layout in below and n % 3 != 2
            if self.layout == "range, id":
                low = f"{low}, {'MINVALUE' if low == 'MINVALUE' else n * 7}"
                high = f"{high}, {'MAXVALUE' if high == 'MAXVALUE' else (n + 1) * 7}"
            cleanup.sql(f"CREATE TABLE {name} PARTITION OF {parent} FOR VALUES FROM ({low}) TO ({high}){below[self.layout] if is_split else ''}")
            if is_split:
                self._split(cleanup, name, low, high)
        if self.has_default:
            cleanup.sql(f"CREATE TABLE {parent}_default PARTITION OF {parent} DEFAULT")

    def _split(self, cleanup, name, low, high):
        if self.layout == "range of list":
            cleanup.sql(f"CREATE TABLE {name}_a PARTITION OF {name} FOR VALUES IN ('a')")
            cleanup.sql(f"CREATE TABLE {name}_other PARTITION OF {name} DEFAULT")
        elif self.layout == "range of hash":
            for n in range(2):
                cleanup.sql(f"CREATE TABLE {name}_{n} PARTITION OF {name} FOR VALUES WITH (MODULUS 2, REMAINDER {n})")
        else:
            cleanup.sql(f"CREATE TABLE {name}_all PARTITION OF {name} FOR VALUES FROM (MINVALUE) TO (MAXVALUE)")

    def _fill(self, cleanup, name):
        chance = type(self.random)(self.row_seed)
        values = [self.value(self.cutoff + chance.uniform(-14, 9) * self.unit) for _ in range(self.rows)]
        values += [self.value(time) for time in self.times] + [self.value(time - timedelta(microseconds=1)) for time in self.times]
        values += [self.value(self.cutoff), self.value(self.cutoff - timedelta(microseconds=1))] + self.kind.specials()[: chance.randint(0, 20)]
        for n, value in enumerate(values):
            # What no partition takes is left out.
            cleanup.sql(f"DO $$ BEGIN INSERT INTO {name} VALUES ({n}, 'row', '{chance.choice('ab')}', ({value})::{self.kind.sql_type});"
                        " EXCEPTION WHEN check_violation THEN NULL; END $$")
