"""Names that quoting gets wrong, and ordinary ones."""

TEMPLATES = [
    "events_{n}", "t{n}", "MixedCase{n}", "with space {n}", " leading {n}", "trailing {n} ", "1st_{n}", "dot.{n}", "se;mi{n}",
    'quo"te{n}', '""{n}""', "o'clock{n}", "''{n}", "back\\slash{n}", "-- {n}", "/* {n}", "$1 {n}", "$${n}$$", "%s{n}%", "{{{n}}}",
    ":x{n}", "größe{n}", "日本語{n}", "Ωmega{n}", "👻{n}", "جدول{n}", "e\u0301{n}", "line\nbreak{n}", "tab\t{n}", "@extschema@{n}",
]
# Reserved words, names that pg_cleanup's own statements use, and system functions.
WORDS = ["select", "table", "user", "order", "target", "policy", "cutoff", "now", "age", "rows", "ids", "id", "ids_", "oid_", "ctids",
         "row_to_delete", "batch", "key", "value", "current_user", "end", "true", "null", "t", "d", "x", "text", "count"]


def name(random, number=""):
    """Any name; with a number where it has to be unique."""
    kind = random.random()
    if kind < 0.15 and number == "":
        return random.choice(WORDS)
    if kind < 0.3:
        return sixty_three_bytes(random, number)
    return random.choice(TEMPLATES).format(n=number)


def sixty_three_bytes(random, number):
    filler = random.choice(["x", "é", "日", 'q"', "👻"])
    text = f"{random.choice(['n', 'N', '_'])}{number}_"
    while len((text + filler).encode()) <= 63:
        text += filler
    return text + "x" * (63 - len(text.encode()))


def names(random, count):
    """Different names for the columns of one table."""
    found = []
    while len(found) < count:
        candidate = name(random)
        if candidate not in found:
            found.append(candidate)
    return found
