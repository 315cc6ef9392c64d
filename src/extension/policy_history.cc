#include "extension/policy_history.h"

#include "extension/liveness.h"

namespace pgcleanup {

namespace {

constexpr std::string_view histories_sql =
    "SELECT p.policy_id, coalesce(pruned.runs, 0) + kept.runs, coalesce(pruned.rows, 0) + kept.rows,"
    "  coalesce(pruned.dependent_rows, 0) + kept.dependent_rows, coalesce(pruned.row_bytes, 0) + kept.row_bytes,"
    "  kept.last_run, coalesce(last.started_at, pruned.last_run_at), last.status,"
    "  CASE WHEN last.status NOT IN ('running', 'succeeded') THEN nullif(last.message, '') END,"
    "  met.oldest, met.updated_at "
    "FROM @extschema@.cleanup_policies p"
    "  LEFT JOIN @extschema@.cleanup_totals pruned USING (policy_id)"
    "  CROSS JOIN LATERAL ("
    "    SELECT count(DISTINCT t.run_id) AS runs, coalesce(sum(t.rows), 0) AS rows,"
    "      coalesce(sum(t.dependent_rows), 0) AS dependent_rows, coalesce(sum(t.row_bytes), 0) AS row_bytes,"
    "      max(t.run_id) AS last_run"
    "    FROM @extschema@.cleanup_run_targets t"
    "    WHERE t.policy_id = p.policy_id AND t.kind = 'target') kept"
    "  LEFT JOIN @extschema@.cleanup_run_targets last"
    "    ON last.run_id = kept.last_run AND last.policy_id = p.policy_id AND last.kind = 'target'"
    "  LEFT JOIN LATERAL ("
    "    SELECT t.oldest, t.updated_at FROM @extschema@.cleanup_run_targets t"
    "    WHERE t.policy_id = p.policy_id AND t.kind = 'target' AND t.oldest IS NOT NULL"
    "    ORDER BY t.run_id DESC LIMIT 1) met ON true";

PolicyHistory history_of(const std::vector<pg::Cell>& row)
{
    PolicyHistory history;
    history.runs = pg::to_int64(row[1]);
    history.rows = pg::to_int64(row[2]);
    history.dependent_rows = pg::to_int64(row[3]);
    history.row_bytes = pg::to_int64(row[4]);
    if (row[5])
        history.last_run = pg::to_int64(row[5]);
    history.last_run_at = row[6];
    history.last_status = row[7];
    history.last_error = row[8];
    history.oldest = row[9];
    history.oldest_at = row[10];
    return history;
}

PolicyHistories read_histories(pg::Spi& spi, const pg::Extension& extension)
{
    const pg::AsExtensionOwner as_owner(extension);
    const pg::Rows rows = spi.run(pg::in_extension_schema(histories_sql, extension), {}, pg::Access::read_only);
    PolicyHistories histories;
    for (const auto& row : rows)
        histories.emplace(pg::to_int64(row[0]), history_of(row));
    return histories;
}

} // namespace

PolicyHistories policy_histories(pg::Spi& spi, const pg::Extension& extension)
{
    PolicyHistories histories = read_histories(spi, extension);
    const std::vector<std::int64_t> dead = find_dead_runs(spi, extension);
    for (auto& [policy, history] : histories) {
        if (history.is_running() && history.last_run && std::ranges::binary_search(dead, *history.last_run)) {
            history.last_status = "interrupted";
            history.last_error = "the process of the run is gone";
        }
    }
    return histories;
}

} // namespace pgcleanup
