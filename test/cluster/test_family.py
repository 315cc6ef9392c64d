"""Families: a row goes with everything that must go with it, or stays; for both kinds of owner."""

import itertools

import pytest

from family_world import add, child, create, fill, ids, run


# -- what goes along ----------------------------------------------------------------------------------------------------


def test_cascade_to_depth(app):
    """Six tables deep, and two keys lead to the last one."""
    tables = ["p", "c1", "c2", "c3", "c4", "c5"]
    for parent, name in itertools.pairwise(tables):
        create(app, child(name, parent=parent) + fill(name))
    create(app, "CREATE TABLE leaf (id int PRIMARY KEY, a int REFERENCES c5 ON DELETE CASCADE, b int REFERENCES p ON DELETE CASCADE);"
                "INSERT INTO leaf SELECT n, n, 21 - n FROM generate_series(1, 20) n; INSERT INTO leaf VALUES (99, NULL, NULL)")
    add(app)
    run(app, rows=10, dependent_rows=5 * 10 + 20, skipped_rows=0)
    for name in tables:
        assert ids(app, name) == list(range(11, 21)), name
    assert ids(app, "leaf") == [99]


def test_what_a_deep_row_blocks(app):
    for parent, name in itertools.pairwise(["p", "c1", "c2"]):
        create(app, child(name, parent=parent) + fill(name))
    create(app, child("guard", "ON DELETE RESTRICT", "c2") + "INSERT INTO guard VALUES (1, 3), (2, 7)")
    create(app, child("again", parent="p") + "ALTER TABLE again ADD other int REFERENCES c1 ON DELETE CASCADE;" + fill("again (id, parent)"))
    add(app)
    _, told = run(app, status="partial", rows=8, skipped_rows=2)
    assert "app.guard" in told, told
    for name in ("p", "c1", "c2", "again"):
        assert ids(app, name, "id <= 10") == [3, 7], name


def test_self_reference(app):
    """A tree of old and young comments: CASCADE takes subtrees along, whatever their age."""
    create(app, "CREATE TABLE note (id int PRIMARY KEY, at timestamptz, parent int REFERENCES note ON DELETE CASCADE);"
                "CREATE INDEX ON note (parent);"
                "INSERT INTO note SELECT n, now() - CASE WHEN n % 3 = 0 THEN interval '1 day' ELSE interval '60 days' END,"
                " NULLIF(n / 2, 0) FROM generate_series(1, 31) n")
    add(app, "note", condition="id <> 1 AND id <> 2")
    before = app.value("SELECT count(*) FROM app.note")
    done, _ = run(app, "note")
    assert done.rows + done.dependent_rows == before - app.value("SELECT count(*) FROM app.note")
    kept = ids(app, "note")
    assert 1 in kept and 2 in kept
    # Every row whose way up to 1 or 2 passes an old row is gone.
    for row in range(3, 32):
        way = [row >> n for n in range(6) if row >> n > 2]
        assert (row in kept) == all(step % 3 == 0 for step in way), row


def test_cycles_of_cascade(app):
    create(app, "CREATE TABLE a (id int PRIMARY KEY, at timestamptz, b int);"
                "CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a ON DELETE CASCADE);"
                "INSERT INTO a SELECT n, now() - CASE WHEN n % 10 = 1 THEN interval '60 days' ELSE interval '1 day' END, n FROM generate_series(1, 100) n;"
                "INSERT INTO b SELECT n, n / 10 * 10 + (n + 1) % 10 FROM generate_series(1, 89) n WHERE n / 10 * 10 + (n + 1) % 10 > 0;"
                "INSERT INTO b SELECT n, n FROM generate_series(90, 100) n; INSERT INTO b VALUES (9, 9);"
                "ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES b ON DELETE CASCADE; CREATE INDEX ON a (b); CREATE INDEX ON b (a)")
    add(app, "a")
    expected = set(app.value("""WITH RECURSIVE going (t, id) AS (
        SELECT 'a', id FROM app.a WHERE at < now() - interval '30 days'
        UNION SELECT next.t, next.id FROM going CROSS JOIN LATERAL (
          SELECT 'b', b.id FROM app.b WHERE going.t = 'a' AND b.a = going.id
          UNION ALL SELECT 'a', a.id FROM app.a WHERE going.t = 'b' AND a.b = going.id) AS next (t, id))
        SELECT array_agg(id) FROM going WHERE t = 'a'"""))
    assert len(expected) > 10
    run(app, "a")
    assert ids(app, "a") == [n for n in range(1, 101) if n not in expected]


def test_composite_and_cross_type_keys(app):
    create(app, """CREATE TABLE device (id int PRIMARY KEY, site text COLLATE "C", serial bigint, at timestamptz, UNIQUE (site, serial));
        INSERT INTO device SELECT n, 's' || n % 3, n, now() - interval '60 days' FROM generate_series(1, 12) n;
        CREATE TABLE reading (id int PRIMARY KEY, serial int, site varchar, FOREIGN KEY (site, serial) REFERENCES device (site, serial) ON DELETE CASCADE);
        INSERT INTO reading SELECT n, n, 's' || n % 3 FROM generate_series(1, 12) n; INSERT INTO reading VALUES (90, 1, NULL), (91, NULL, 's1');
        CREATE TABLE alarm (id int PRIMARY KEY, device smallint REFERENCES device ON DELETE CASCADE, reading bigint REFERENCES reading ON DELETE CASCADE);
        INSERT INTO alarm SELECT n, n, 13 - n FROM generate_series(1, 6) n;
        CREATE TABLE pin (id int PRIMARY KEY, serial smallint, site text, FOREIGN KEY (site, serial) REFERENCES device (site, serial));
        INSERT INTO pin VALUES (1, 5, 's2')""")
    add(app, "device")
    # 5 is pinned. Alarm 5 goes with reading 8, but alarm 8 does not exist; nothing else is tied to device 5.
    run(app, "device", "partial", rows=11, skipped_rows=1)
    assert ids(app, "device") == [5] and ids(app, "reading") == [5, 90, 91]
    assert ids(app, "alarm") == []


def test_partitioned_on_both_sides(app):
    create(app, """CREATE TABLE part (id int, at timestamptz, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE part_a PARTITION OF part FOR VALUES FROM (0) TO (10);
        CREATE TABLE part_b (at timestamptz, id int NOT NULL);
        ALTER TABLE part ATTACH PARTITION part_b FOR VALUES FROM (10) TO (100);
        INSERT INTO part SELECT n, now() - interval '60 days' FROM generate_series(1, 20) n;
        CREATE TABLE item (id int, parent int REFERENCES part ON DELETE CASCADE, peer int REFERENCES part, PRIMARY KEY (id)) PARTITION BY HASH (id);
        CREATE TABLE item_0 PARTITION OF item FOR VALUES WITH (MODULUS 2, REMAINDER 0);
        CREATE TABLE item_1 PARTITION OF item FOR VALUES WITH (MODULUS 2, REMAINDER 1);
        CREATE INDEX ON item (parent); CREATE INDEX ON item (peer);
        INSERT INTO item SELECT n, n, 21 - n FROM generate_series(1, 20) n;
        INSERT INTO item VALUES (30, NULL, 4)""")
    add(app, "part", batch_size=3)
    # 4 stays for item 30; item 17 references 4 as peer, that is no matter; item 4 references 17, so 17 stays; and so on.
    run(app, "part", "partial", rows=18, skipped_rows=2, dependent_rows=18)
    assert ids(app, "part") == [4, 17] and ids(app, "item") == [4, 17, 30]


@pytest.mark.parametrize("timing", ["", "DEFERRABLE", "DEFERRABLE INITIALLY DEFERRED"])
def test_deferrable_keys_between_the_same_tables(app, timing):
    """Three keys: one cascades, one blocks, one is set to NULL."""
    create(app, f"""CREATE TABLE c (id int PRIMARY KEY, a int REFERENCES p ON DELETE CASCADE {timing},
        b int REFERENCES p {timing}, s int REFERENCES p ON DELETE SET NULL {timing});
        CREATE INDEX ON c (a); CREATE INDEX ON c (b); CREATE INDEX ON c (s);
        INSERT INTO c VALUES (1, 1, 1, 1), (2, 2, 3, 4), (3, 3, 2, NULL), (5, 11, 5, NULL), (6, 12, NULL, 6), (7, 7, 8, 11), (8, 9, 9, 10)""")
    add(app, batch_size=2)
    # 5 is kept by row 5 of c, which stays; everything else goes in pairs that tie each other.
    run(app, status="partial", skipped_rows=1, rows=9)
    assert ids(app, "p", "id <= 10") == [5]
    assert app.rows("SELECT * FROM app.c ORDER BY id") == [(5, 11, 5, None), (6, 12, None, None)]


def test_cascade_beats_set_null(app):
    """Whichever constraint was made first; no row is changed that goes."""
    create(app, child("c", "ON DELETE SET NULL") + "ALTER TABLE c ADD other int REFERENCES p ON DELETE CASCADE;"
                "INSERT INTO c SELECT n, n, n FROM generate_series(1, 20) n; INSERT INTO c VALUES (30, 1, 11);"
                "CREATE TABLE updates (id int); CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS $$"
                "BEGIN INSERT INTO app.updates VALUES (OLD.id); RETURN NEW; END $$;"
                "CREATE TRIGGER note AFTER UPDATE ON c FOR EACH ROW EXECUTE FUNCTION note()")
    add(app)
    run(app, rows=10, dependent_rows=11)
    assert ids(app, "updates") == [30]
    assert app.rows("SELECT * FROM app.c WHERE id = 30") == [(30, None, 11)]
    assert ids(app, "c", "id < 30") == list(range(11, 21))


def test_set_null_with_a_column_list(app):
    create(app, """CREATE TABLE tenant (org int, id int, at timestamptz, PRIMARY KEY (org, id));
        INSERT INTO tenant SELECT 1, n, now() - interval '60 days' FROM generate_series(1, 5) n;
        CREATE TABLE doc (id int PRIMARY KEY, org int NOT NULL, author int, editor int DEFAULT 9,
          FOREIGN KEY (org, author) REFERENCES tenant ON DELETE SET NULL (author),
          FOREIGN KEY (org, editor) REFERENCES tenant ON DELETE SET DEFAULT (editor));
        INSERT INTO tenant VALUES (1, 9, now());
        INSERT INTO doc SELECT n, 1, n, 6 - n FROM generate_series(1, 5) n""")
    add(app, "tenant")
    run(app, "tenant", rows=5)
    assert app.rows("SELECT * FROM app.doc ORDER BY id") == [(n, 1, None, 9) for n in range(1, 6)]
    assert ids(app, "tenant") == [9]


# -- what blocks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ["ON DELETE NO ACTION", "ON DELETE RESTRICT"])
def test_diamond_whose_blocker_goes_itself(app, action):
    create(app, child("left_side") + fill("left_side") + child("right_side") + fill("right_side")
           + f"ALTER TABLE right_side ADD peer int REFERENCES left_side {action}; UPDATE right_side SET peer = id;"
           + "UPDATE right_side SET peer = 2 WHERE id = 11")
    add(app)
    # Row 11 of right_side stays, and references row 2 of left_side.
    run(app, status="partial", rows=9, skipped_rows=1, dependent_rows=18)
    assert ids(app, "p", "id <= 10") == [2]
    assert ids(app, "left_side", "id <= 10") == [2] and ids(app, "right_side", "id <= 10") == [2]


def test_the_preview_says_what_keeps_a_family(app):
    """A blocker that goes itself is none; one below keeps the row above."""
    create(app, child("left_side") + fill("left_side") + child("right_side") + fill("right_side")
           + "ALTER TABLE right_side ADD peer int REFERENCES left_side; UPDATE right_side SET peer = CASE id WHEN 11 THEN 2 ELSE id END;"
           + child("guard", "ON DELETE RESTRICT", "right_side") + "INSERT INTO guard VALUES (1, 5)")
    add(app)
    why = {row.row_data["id"]: row.why for row in app.preview("p")}
    assert sorted(why) == list(range(1, 11))
    assert {row for row, text in why.items() if "blocked" in text} == {2, 5}, why
    assert "app.right_side" in why[2] and "app.guard" in why[5], why
    run(app, status="partial", rows=8, skipped_rows=2)


def test_ties_go_in_one_batch(app):
    """Rings of due rows that reference each other, one with a row that is not due; batches of one row."""
    create(app, "ALTER TABLE p ADD peer int REFERENCES p; CREATE INDEX ON p (peer);"
                "UPDATE p SET peer = CASE id WHEN 1 THEN 2 WHEN 2 THEN 3 WHEN 3 THEN 1 WHEN 4 THEN 5 WHEN 5 THEN 11 WHEN 11 THEN 4"
                " WHEN 6 THEN 6 WHEN 7 THEN 8 WHEN 12 THEN 9 END")
    add(app, batch_size=1)
    # 4 and 5 are in a ring with 11, which is young, and 12, which is young, references 9.
    run(app, status="partial", rows=7, skipped_rows=3)
    assert ids(app, "p", "id <= 10") == [4, 5, 9]
    assert app.value("SELECT count(*) FROM app.p WHERE peer IS NOT NULL AND peer NOT IN (SELECT id FROM app.p)") == 0


def test_a_long_chain_goes_whole(app):
    create(app, "CREATE TABLE chain (id int PRIMARY KEY, at timestamptz, next int REFERENCES chain); CREATE INDEX ON chain (next);"
                "INSERT INTO chain SELECT n, now() - interval '60 days', NULLIF(n + 1, 401) FROM generate_series(1, 400) n")
    add(app, "chain", batch_size=7)
    run(app, "chain", rows=400)


def test_a_tie_over_partitions(app):
    """The rows that tie each other are in different partitions, and so in different units of work."""
    create(app, """CREATE TABLE ev (id int, at timestamptz, peer int, PRIMARY KEY (id)) PARTITION BY RANGE (id);
        CREATE TABLE ev_a PARTITION OF ev FOR VALUES FROM (0) TO (100);
        CREATE TABLE ev_b PARTITION OF ev FOR VALUES FROM (100) TO (200);
        INSERT INTO ev SELECT n, now() - interval '60 days', NULL FROM generate_series(90, 109) n;
        ALTER TABLE ev ADD FOREIGN KEY (peer) REFERENCES ev; CREATE INDEX ON ev (peer);
        UPDATE ev SET peer = 199 - id;
        INSERT INTO ev VALUES (150, now(), 95)""")
    add(app, "ev")
    run(app, "ev", "partial", rows=18, skipped_rows=2)
    assert ids(app, "ev") == [95, 104, 150]


def test_rows_freed_by_set_null_go_in_the_same_run(app):
    """Row 2 blocks row 1 until its key is set to NULL, as row 3 goes."""
    create(app, """CREATE TABLE f (id int PRIMARY KEY, at timestamptz, a int, b int, UNIQUE (a, b));
        CREATE TABLE g (id int PRIMARY KEY, a int REFERENCES p ON DELETE SET NULL, b int, FOREIGN KEY (a, b) REFERENCES f (a, b));
        INSERT INTO f VALUES (1, now() - interval '60 days', 1, 7); INSERT INTO g VALUES (1, 1, 7)""")
    add(app)
    app.add_policy("f", "app.f", "at", "30 days", priority=200)
    first, second = app.runs()
    assert (first.rows, second.rows) == (10, 1), (first, second)
    assert app.value("SELECT count(*) FROM app.f") == 0
