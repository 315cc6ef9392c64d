"""Dry run, run and second run of a random graph, compared with what the family rules say (family_model.py)."""

from family_model import Families, Outcome, carry_out, expected, expected_in_several_batches, expected_of_error, expected_of_skip, rows_by_link
from graph_checks import check, dangling, differences, unequal


def check_run(cleanup, graph, policy):
    """Dry run and run do what the model says; a second run finds nothing left to do. `policy`: what it has besides the graph's."""
    rule = policy.get("on_reference", "follow")
    if rule != "follow":
        # What may go or stay, and is decided with the row that goes first, is up to which that is.
        graph.relations = [relation for relation in graph.relations if not relation.unless_referenced]
    graph.add_policy(cleanup, "p", **policy)
    with cleanup.connection.cursor() as cursor:
        rows, eligible = graph.contents(cursor), graph.eligible(cursor)
        told = [policy, f"eligible {sorted(eligible)}"]
        want = {"follow": expected, "skip": expected_of_skip, "error": expected_of_error}[rule](graph, rows, eligible)
        check_dry_run(cleanup, graph, rows, rule, eligible, told)
        done = cleanup.run("p")
        if want is None:
            wrong = differences(graph.contents(cursor), rows) + unequal("run", done, status="failed", rows=0, dependent_rows=0)
            check(not wrong and "on_reference is 'error'" in done.message, graph, rows, *told, done, *wrong)
            cleanup.drop_policy("p")
            return want
        if rule != "follow" and graph.tables[graph.target].partitioned:
            # What a later partition's rows free in an earlier one goes with the next run.
            while (more := cleanup.run("p")).rows > 0:
                done = more._replace(rows=done.rows + more.rows, dependent_rows=done.dependent_rows + more.dependent_rows)
        found = graph.contents(cursor)
        if rule == "follow" and done.batches > 1 and found.keys() != want.after.keys():
            want = expected_in_several_batches(graph, rows, eligible)
        wrong = differences(found, want.after) + dangling(cursor, graph) + audit_differences(cursor, graph, want.gone)
        left = want.eligible & found.keys()
        wrong += unequal("run", done, status="partial" if left else "succeeded", skipped_rows=len(left))
        if done.rows + done.dependent_rows < len(want.gone | want.changed):
            wrong.append(f"run: {done.rows} + {done.dependent_rows} rows, not {len(want.gone)} + {len(want.changed)}")
        check(not wrong, graph, rows, *told, f"blocked {sorted(want.blocked)}", done, *wrong)
        again = cleanup.run("p")
        wrong = differences(graph.contents(cursor), found)
        if rule != "error":  # it fails now, when what stayed is referenced
            wrong += unequal("second run", again, rows=0, dependent_rows=0)
        check(not wrong, graph, rows, *told, done, again, *wrong)
    cleanup.drop_policy("p")
    return want


def check_dry_run(cleanup, graph, rows, rule, eligible, told):
    dry = cleanup.dry_run("p")
    with cleanup.connection.cursor() as cursor:
        check(graph.contents(cursor) == rows, graph, rows, "the dry run changed something")
    partitioned = graph.tables[graph.target].partitioned
    if rule == "error" or rule == "skip" and partitioned:  # what may take more than one run
        return
    seen = {"follow": expected, "skip": expected_of_skip}[rule](graph, rows, eligible, triggers=False)
    wrong = unequal("dry run", dry, eligible_rows=len(seen.eligible), blocked_rows=len(seen.blocked),
                    dependent_rows=len((seen.gone - seen.eligible) | seen.changed))
    if rule == "follow":
        wrong += detail_differences(cleanup, graph, rows_by_link(graph, rows, seen))
    check(not wrong, graph, rows, *told, f"the model lets go {sorted(seen.gone)}", dry, *wrong)


def detail_differences(cleanup, graph, wanted):
    """cleanup_dry_run_detail counts by each key and relation what the model says. Keys that block are not compared."""
    found = {}
    for row in cleanup.rows("SELECT dependent::text, link, action, rows FROM cleanup_dry_run_detail('p')"):
        if row.action == "relation":
            # "relation to world.t1 (s0 = id, s0_code = code)"
            columns = sorted(row.link[row.link.index("(") + 1:-1].split(", "))
            found[row.dependent.removeprefix(f"{graph.schema}."), tuple(columns)] = row.rows
        elif row.action not in ("NO ACTION", "RESTRICT"):
            found[row.link] = row.rows
    return [f"detail: {found.get(link)} rows by {link}, not {len(rows)}" for link, rows in wanted.items()
            if found.get(link, 0) != len(rows)]


def audit_differences(cursor, graph, gone):
    """The application's own triggers saw each row go, once."""
    cursor.execute(f"SELECT tbl, n FROM {graph.schema}.audit")
    seen = sorted(cursor.fetchall())
    wanted = sorted(row for row in gone if row[0] in graph.audited)
    return [] if seen == wanted else [f"audited {seen}, not {wanted}"]


# -- families that are split --------------------------------------------------------------------------------------------


def tied(families, root):
    """Every row that hangs together with this one, in whatever way."""
    edges = {}
    for row in families.rows:
        for other in families.musts[row] | families.blockers[row] | {child for child, _ in families.setters[row]}:
            edges.setdefault(row, set()).add(other)
            edges.setdefault(other, set()).add(row)
    found, waiting = {root}, [root]
    while waiting:
        for other in edges.get(waiting.pop(), set()) - found:
            found.add(other)
            waiting.append(other)
    return found


def check_split(cleanup, graph, policy, most):
    """A run with split_families leaves whole families. It takes the small ones, and of those that are larger than `most` (the
    database's max_family_rows) the ones that only their own rows block. A run without it then takes what is left."""
    graph.relations = [relation for relation in graph.relations if not relation.unless_referenced]
    for table in graph.tables.values():  # a trigger that keeps a row may tear what is split
        assert not any(row["kept"] or row["frozen"] for row in table.data)
    graph.add_policy(cleanup, "p", split_families=True, **policy)
    with cleanup.connection.cursor() as cursor:
        rows, eligible = graph.contents(cursor), graph.eligible(cursor)
        told = [policy, f"max_family_rows {most}", f"eligible {sorted(eligible)}"]
        want, families = expected(graph, rows, eligible), Families(graph, rows, eligible)
        may_stay = set()
        for root in want.eligible & want.gone:
            family = families.closure({root}, set())
            if any(families.blockers[row] - family for row in family) and len(tied(families, root)) > most:
                may_stay.add(root)
        least = Families(graph, rows, {n for _, n in want.eligible - may_stay}).going()
        done = cleanup.run("p")
        found = graph.contents(cursor)
        gone = rows.keys() - found.keys()
        wrong = [f"gone: {row}" for row in sorted(gone - want.gone)] + [f"still there: {row}" for row in sorted(least - gone)]
        wrong += [f"torn: {row}" for row in sorted(families.closure(families.eligible & gone, set()) ^ gone)]
        if not wrong:
            outcome = Outcome(eligible=want.eligible, gone=gone, after={row: dict(values) for row, values in rows.items()})
            carry_out(graph, families, outcome)
            wrong += differences(found, outcome.after) + dangling(cursor, graph) + audit_differences(cursor, graph, gone)
            left = want.eligible & found.keys()
            wrong += unequal("run", done, status="partial" if left else "succeeded", skipped_rows=len(left))
        check(not wrong, graph, rows, *told, f"blocked {sorted(want.blocked)}", f"may stay {sorted(may_stay)}", done, *wrong)
        cleanup.alter_policy("p", split_families=False)
        whole = cleanup.run("p")
        wrong = differences(graph.contents(cursor), want.after)
        check(not wrong, graph, rows, *told, done, whole, *wrong)
    cleanup.drop_policy("p")
    return len(gone)
