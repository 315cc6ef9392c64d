#include "extension/history.h"

#include "extension/audit.h"
#include "pg/lock_tag.h"

namespace pgcleanup {

namespace {

constexpr std::int64_t runs_a_portion = 1000;
constexpr std::int64_t audit_rows_a_portion = 10000;

// Of a run `r`: the last one of some policy, which cleanup_stats still shows.
constexpr std::string_view is_a_last_run =
    "EXISTS (SELECT FROM @extschema@.cleanup_run_targets t JOIN @extschema@.cleanup_policies p USING (policy_id)"
    "  WHERE t.run_id = r.run_id AND t.kind = 'target' AND NOT EXISTS ("
    "    SELECT FROM @extschema@.cleanup_run_targets later"
    "    WHERE later.policy_id = t.policy_id AND later.kind = 'target' AND later.run_id > t.run_id))";

struct Pruned {
    std::int64_t rows = 0;
    pg::Cell from;
};

Pruned pruned(const pg::Rows& rows)
{
    return {pg::to_int64(rows[0][0]), rows[0][1]};
}

Pruned prune_runs(pg::Spi& spi, const pg::Extension& extension, TimestampTz before)
{
    const pg::AsExtensionOwner as_owner(extension);
    const pg::Rows rows = spi.run(
        pg::in_extension_schema(
            pg::concat(
                "WITH old AS MATERIALIZED ("
                "  SELECT r.run_id FROM @extschema@.cleanup_runs r"
                "  WHERE r.started_at < $1 AND r.status <> 'running' AND NOT ",
                is_a_last_run,
                "  ORDER BY r.started_at LIMIT $2 FOR UPDATE OF r SKIP LOCKED"
                "), added AS ("
                "  INSERT INTO @extschema@.cleanup_totals AS total"
                "    (policy_id, runs, rows, dependent_rows, row_bytes, batches, first_run_at, last_run_at)"
                "  SELECT p.policy_id, count(DISTINCT t.run_id), sum(t.rows), sum(t.dependent_rows), sum(t.row_bytes),"
                "    sum(t.batches), min(t.started_at), max(t.started_at)"
                "  FROM old JOIN @extschema@.cleanup_run_targets t USING (run_id)"
                "    JOIN @extschema@.cleanup_policies p USING (policy_id)"
                "  WHERE t.kind = 'target' GROUP BY p.policy_id ORDER BY p.policy_id"
                "  ON CONFLICT (policy_id) DO UPDATE SET runs = total.runs + excluded.runs, rows = total.rows + "
                "excluded.rows,"
                "    dependent_rows = total.dependent_rows + excluded.dependent_rows,"
                "    row_bytes = total.row_bytes + excluded.row_bytes, batches = total.batches + excluded.batches,"
                "    first_run_at = least(total.first_run_at, excluded.first_run_at),"
                "    last_run_at = greatest(total.last_run_at, excluded.last_run_at)"
                "), gone AS ("
                "  DELETE FROM @extschema@.cleanup_runs r USING old WHERE r.run_id = old.run_id RETURNING r.started_at"
                ") SELECT count(*), min(started_at) FROM gone"),
            extension),
        pg::Parameters().timestamp(before).int8(runs_a_portion));
    return pruned(rows);
}

// The oldest first. What earlier prunings said of themselves goes as any row; its sums live on in the next one's.
Pruned prune_audit(pg::Spi& spi, const pg::Extension& extension, TimestampTz before)
{
    const pg::AsExtensionOwner as_owner(extension);
    const pg::Rows rows =
        spi.run(pg::in_extension_schema(
                    "WITH old AS MATERIALIZED ("
                    "  SELECT a.audit_id FROM @extschema@.cleanup_audit a WHERE a.at < $1"
                    "  ORDER BY a.at LIMIT $2 FOR UPDATE SKIP LOCKED"
                    "), gone AS ("
                    "  DELETE FROM @extschema@.cleanup_audit a USING old WHERE a.audit_id = old.audit_id RETURNING a.at"
                    ") SELECT count(*), min(at) FROM gone",
                    extension),
                pg::Parameters().timestamp(before).int8(audit_rows_a_portion));
    return pruned(rows);
}

// What the last checkpoint in the audit says, as jsonb text; read before it may be pruned itself.
pg::Cell last_checkpoint(pg::Spi& spi, const pg::Extension& extension)
{
    const pg::AsExtensionOwner as_owner(extension);
    const pg::Rows rows = spi.run(pg::in_extension_schema(
        "SELECT details FROM @extschema@.cleanup_audit WHERE event = 'history_pruned' ORDER BY audit_id DESC LIMIT 1",
        extension));
    return rows.empty() ? std::nullopt : rows[0][0];
}

// What stands in the audit for what is gone: this time's counts, and those of all times.
std::string checkpoint(pg::Spi& spi, const pg::Extension& extension, const pg::Cell& previous, const Pruned& runs,
                       const Pruned& audit_rows)
{
    const pg::AsExtensionOwner as_owner(extension);
    const pg::Rows rows = spi.run(
        "WITH n AS (SELECT $1::bigint AS runs, $2::bigint AS audit_rows,"
        "  least($3::timestamptz, $4::timestamptz) AS since, $5::jsonb AS previous) "
        "SELECT jsonb_build_object('runs', runs, 'audit_rows', audit_rows, 'from', since,"
        "  'runs_ever', runs + coalesce((previous->>'runs_ever')::bigint, 0),"
        "  'audit_rows_ever', audit_rows + coalesce((previous->>'audit_rows_ever')::bigint, 0),"
        "  'from_ever', least(since, (previous->>'from_ever')::timestamptz)) FROM n",
        pg::Parameters().int8(runs.rows).int8(audit_rows.rows).text(runs.from).text(audit_rows.from).text(previous));
    return pg::to_text(rows[0][0]);
}

} // namespace

bool history_is_due(pg::Spi& spi, const pg::Extension& extension, TimestampTz before)
{
    const pg::AsExtensionOwner as_owner(extension);
    const pg::Rows rows = spi.run(
        pg::in_extension_schema(
            pg::concat(
                "SELECT EXISTS (SELECT FROM @extschema@.cleanup_audit a WHERE a.at < $1) OR EXISTS ("
                "SELECT FROM @extschema@.cleanup_runs r WHERE r.started_at < $1 AND r.status <> 'running' AND NOT ",
                is_a_last_run, ")"),
            extension),
        pg::Parameters().timestamp(before), pg::Access::read_only);
    return pg::to_bool(rows[0][0]);
}

bool prune_history(pg::Spi& spi, const pg::Extension& extension, TimestampTz before)
{
    // Held to the end of the transaction: the sums in the checkpoint are read, added to and written.
    const pg::LockTag lock(pg::lock_anchor(extension.schema), pg::LockKind::history, 0);
    if (!lock.try_lock(ExclusiveLock, false) || !history_is_due(spi, extension, before - USECS_PER_HOUR))
        return false;
    const pg::Cell previous = last_checkpoint(spi, extension);
    const Pruned runs = prune_runs(spi, extension, before);
    const Pruned audit_rows = prune_audit(spi, extension, before);
    AuditRecord record;
    record.event = "history_pruned";
    record.details = checkpoint(spi, extension, previous, runs, audit_rows);
    write_audit(spi, extension, record);
    return runs.rows == runs_a_portion || audit_rows.rows == audit_rows_a_portion;
}

} // namespace pgcleanup
