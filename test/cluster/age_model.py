"""What plain SQL says of an age: a model of its own of the age types, to judge dry runs and runs by.

Where a column is coarser than the cutoff (a day, a second, a repeated hour), there are rows that are neither clearly past
nor clearly not: `must_go` is true for the first, `may_go` false for the second. A row may only go where may_go is true,
and has to where must_go is.
"""

from dataclasses import dataclass

UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


@dataclass(frozen=True)
class AgeKind:
    name: str
    sql_type: str
    unit: str | None = None  # of integers
    default_unit: bool = False  # the unit is not said when the policy is made

    @property
    def policy_arguments(self):
        return {} if self.unit is None or self.default_unit else {"age_unit": self.unit}

    def value(self, instant, zone="'UTC'"):
        """SQL: the column's value for a row of this age; `instant` is SQL of a timestamptz."""
        if self.name == "date":
            return f"(({instant}) AT TIME ZONE {zone})::date"
        if self.name == "timestamp":
            return f"(({instant}) AT TIME ZONE {zone})"
        if self.name == "timestamptz":
            return f"({instant})"
        if self.name == "uuid7":
            return uuid_of(f"floor(extract(epoch FROM {instant}) * 1000)::bigint", "'7'")
        return f"floor(extract(epoch FROM {instant}) * {UNITS[self.unit]})::{self.sql_type}"

    def specials(self):
        """SQL values that are never eligible, whatever the cutoff."""
        future = "now() + interval '90 days'"
        if self.name == "date":
            return ["NULL", "'infinity'", "'-infinity'", "current_date + 90", "current_date", "'5874897-12-31'"]
        if self.name in ("timestamp", "timestamptz"):
            return ["NULL", "'infinity'", "'-infinity'", self.value(future), f"'294276-12-29 23:59:59'::{self.sql_type}"]
        if self.name == "uuid7":
            old = "floor(extract(epoch FROM now() - interval '10 years') * 1000)::bigint"
            return (["NULL", self.value(future), "'ffffffff-ffff-7fff-bfff-ffffffffffff'", "'00000000-0000-0000-0000-000000000000'"]
                    # other versions, and other variants, that sort before any cutoff
                    + [uuid_of(old, f"'{version}'") for version in "01234568f"]
                    + [uuid_of(old, "'7'", f"'{variant}'") for variant in "0347cdef"]
                    + ["gen_random_uuid()"] * 20)
        top = "2147483647" if self.sql_type == "int4" else "9223372036854775807"
        low = "-2147483648" if self.sql_type == "int4" else "(-9223372036854775807 - 1)"
        specials = ["NULL", "0", "-1", low, top]
        return specials + [f"-({self.value('now()')})", self.value(future)]

    def _number(self, column):
        """SQL: what the column counts, in its unit, and true when it counts."""
        if self.name == "uuid7":
            return (f"('x' || lpad(left(replace({column}::text, '-', ''), 12), 16, '0'))::bit(64)::bigint",
                    f"substr({column}::text, 15, 1) = '7' AND substr({column}::text, 20, 1) IN ('8', '9', 'a', 'b')", UNITS["ms"])
        return f"{column}::numeric", f"{column} > 0", UNITS[self.unit]

    def must_go(self, column, cutoff, zone="'UTC'"):
        """SQL: the row is older than the cutoff, however one reads it."""
        return _true(self._before(column, f"({cutoff})", zone, certain=True))

    def may_go(self, column, cutoff, zone="'UTC'"):
        """SQL: there is a reading in which the row is older than the cutoff."""
        return _true(self._before(column, f"({cutoff})", zone, certain=False))

    def must_come(self, column, start, zone="'UTC'"):
        """SQL: the row's age is at or after `start` (age_from), however one reads it."""
        return _true(self._from(column, start, zone, certain=True))

    def may_come(self, column, start, zone="'UTC'"):
        return _true(self._from(column, start, zone, certain=False))

    def _before(self, column, cutoff, zone, certain):
        if self.name == "timestamptz":
            return f"{column} <> '-infinity' AND {column} < {cutoff}"
        if self.name == "timestamp":
            # AT TIME ZONE takes the later of two readings, for repeated and for skipped times.
            exists = f" AND ({column} AT TIME ZONE {zone}) AT TIME ZONE {zone} = {column}" if certain else ""
            return f"CASE WHEN isfinite({column}) AND {column} < '10000-01-01' THEN {column} AT TIME ZONE {zone} < {cutoff}{exists} END"
        if self.name == "date":
            past = (f"({column} + 1)::timestamp AT TIME ZONE {zone} <= {cutoff}" if certain
                    else f"{column} < ({cutoff} AT TIME ZONE {zone})::date")
            return f"CASE WHEN isfinite({column}) AND {column} < '10000-01-01' THEN {past} END"
        number, counts, scale = self._number(column)
        at = f"extract(epoch FROM {cutoff}) * {scale}"
        return f"CASE WHEN {counts} THEN " + (f"{number} + 1 <= {at}" if certain else f"{number} < {at}") + " END"

    def _from(self, column, start, zone, certain):
        if self.name == "timestamptz":
            return f"{column} >= {start}"
        if self.name == "timestamp":
            later = f"{column} AT TIME ZONE {zone}"
            earlier = f"(({column} - interval '1 day') AT TIME ZONE {zone}) + interval '24 hours'"
            reading = f"LEAST({later}, {earlier})" if certain else later
            return f"CASE WHEN isfinite({column}) AND {column} < '10000-01-01' THEN {reading} >= {start} END"
        if self.name == "date":
            comes = (f"{column}::timestamp AT TIME ZONE {zone} >= {start}" if certain
                     else f"({column} + 1)::timestamp AT TIME ZONE {zone} > {start}")
            return f"CASE WHEN isfinite({column}) AND {column} < '10000-01-01' THEN {comes} END"
        number, counts, scale = self._number(column)
        at = f"extract(epoch FROM {start}) * {scale}"
        return f"CASE WHEN {counts} THEN " + (f"{number} >= {at}" if certain else f"{number} + 1 > {at}") + " END"


def _true(test):
    return f"(({test}) IS TRUE)"


def uuid_of(milliseconds, version, variant="'a'"):
    """SQL of a uuid with this time, version and variant; the rest is random."""
    return (f"(SELECT left(t, 8) || '-' || right(t, 4) || '-' || {version} || substr(r, 1, 3) || '-' || {variant} || substr(r, 4, 3) || '-' || substr(r, 7, 12)"
            f" FROM (SELECT lpad(to_hex({milliseconds}), 12, '0') AS t, replace(gen_random_uuid()::text, '-', '') AS r) AS parts)::uuid")


KINDS = {kind: AgeKind(kind, *rest) for kind, *rest in [
    ("date", "date"),
    ("timestamp", "timestamp"),
    ("timestamptz", "timestamptz"),
    ("int4_s", "int4", "s", True),
    ("int8_s", "int8", "s"),
    ("int8_ms", "int8", "ms"),
    ("int8_us", "int8", "us"),
    ("int8_ns", "int8", "ns"),
    ("uuid7", "uuid"),
]}
