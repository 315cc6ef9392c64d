#include "extension/liveness.h"

#include "extension/audit.h"
#include "pg/latest_snapshot.h"
#include "pg/lock_tag.h"

namespace pgcleanup {

namespace {

std::vector<std::int64_t> running_rows(pg::Spi& spi, const pg::Extension& extension)
{
    // Not the statement's snapshot: it may be older than the lock table that we compare with.
    const pg::LatestSnapshot snapshot;
    const pg::AsExtensionOwner as_owner(extension);
    const pg::Rows rows =
        spi.run(pg::in_extension_schema("SELECT run_id FROM @extschema@.cleanup_runs WHERE status = 'running' "
                                        "AND worker_pid IS DISTINCT FROM pg_backend_pid() ORDER BY run_id",
                                        extension),
                {}, pg::Access::read_only);
    std::vector<std::int64_t> runs;
    for (const auto& row : rows)
        runs.push_back(pg::to_int64(row[0]));
    return runs;
}

constexpr std::string_view message = "the process of the run is gone";

// Its counters are exact as they are: they moved with each batch. False when somebody else was faster.
bool mark_dead_run(pg::Spi& spi, const pg::Extension& extension, std::int64_t run)
{
    pg::Rows marked;
    {
        const pg::AsExtensionOwner as_owner(extension);
        marked =
            spi.run(pg::in_extension_schema(
                        "WITH targets AS ("
                        "  UPDATE @extschema@.cleanup_run_targets SET status = 'interrupted', finished_at = updated_at,"
                        "    waiting_for = NULL, message = coalesce(message, $2)"
                        "  WHERE run_id = $1 AND status = 'running'"
                        "    AND EXISTS (SELECT FROM @extschema@.cleanup_runs WHERE run_id = $1 AND status = 'running')"
                        ") UPDATE @extschema@.cleanup_runs r SET status = 'interrupted',"
                        "  message = coalesce(message, $2), finished_at = ("
                        "    SELECT greatest(r.started_at, max(t.updated_at)) FROM @extschema@.cleanup_run_targets t"
                        "    WHERE t.run_id = r.run_id) "
                        "WHERE run_id = $1 AND status = 'running' RETURNING ("
                        "  SELECT coalesce(sum(t.rows), 0) FROM @extschema@.cleanup_run_targets t"
                        "  WHERE t.run_id = r.run_id AND t.kind = 'target')",
                        extension),
                    pg::Parameters().int8(run).text(message));
    }
    if (marked.empty())
        return false;
    AuditRecord record;
    record.event = "run_interrupted";
    record.run_id = run;
    record.rows = pg::to_int64(marked[0][0]);
    record.details = pg::JsonObject().text("message", message).str();
    write_audit(spi, extension, record);
    return true;
}

} // namespace

Liveness run_liveness(const pg::Extension& extension, std::int64_t run_id)
{
    if (pg::pg_call([] { return RecoveryInProgress(); }))
        return Liveness::unknown;
    const pg::LockTag tag(pg::lock_anchor(extension.schema), pg::LockKind::run_alive,
                          static_cast<std::uint32_t>(run_id));
    // RowExclusiveLock conflicts with the ShareLock of the run's process, and not with itself.
    return tag.is_held_elsewhere(RowExclusiveLock) ? Liveness::alive : Liveness::dead;
}

std::vector<std::int64_t> find_dead_runs(pg::Spi& spi, const pg::Extension& extension)
{
    std::vector<std::int64_t> dead = running_rows(spi, extension);
    std::erase_if(dead, [&](std::int64_t run) { return run_liveness(extension, run) != Liveness::dead; });
    if (dead.empty())
        return dead;
    const std::vector<std::int64_t> still_running = running_rows(spi, extension);
    std::erase_if(dead, [&](std::int64_t run) { return !std::ranges::binary_search(still_running, run); });
    return dead;
}

std::size_t mark_dead_runs(pg::Spi& spi, const pg::Extension& extension)
{
    const std::vector<std::int64_t> dead = find_dead_runs(spi, extension);
    std::size_t marked = 0;
    for (const std::int64_t run : dead)
        marked += mark_dead_run(spi, extension, run) ? 1 : 0;
    return marked;
}

} // namespace pgcleanup

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_run_is_alive);
Datum cleanup_run_is_alive(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] {
        const pgcleanup::Liveness liveness = pgcleanup::run_liveness(pgcleanup::pg::extension(), PG_GETARG_INT64(0));
        if (liveness == pgcleanup::Liveness::unknown)
            PG_RETURN_NULL();
        return BoolGetDatum(liveness == pgcleanup::Liveness::alive);
    });
}
}
