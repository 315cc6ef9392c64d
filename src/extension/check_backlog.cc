// Policies that do not keep up with their tables, as their runs tell.
#include "extension/check.h"

namespace pgcleanup {

namespace {

// How late the oldest row was that each of the last runs met, in seconds. Five runs at most, three at least: one slow
// day is no trend.
constexpr const char* lateness_sql =
    "SELECT p.policy, r.late[1], r.late[array_upper(r.late, 1)], array_length(r.late, 1) - 1 "
    "FROM @extschema@.cleanup_policies p CROSS JOIN LATERAL ("
    "  SELECT array_agg(extract(epoch FROM t.cutoff - t.oldest)::bigint ORDER BY t.run_id DESC) AS late FROM ("
    "    SELECT run_id, cutoff, oldest FROM @extschema@.cleanup_run_targets t"
    "    WHERE t.policy_id = p.policy_id AND t.kind = 'target' AND t.cutoff IS NOT NULL AND t.oldest IS NOT NULL"
    "      AND isfinite(t.oldest) AND t.status <> 'running' ORDER BY run_id DESC LIMIT 5) t) r "
    "WHERE array_length(r.late, 1) >= 3 AND r.late[1] > r.late[array_upper(r.late, 1)] + 86400 "
    "  AND r.late[1] > r.late[2] ORDER BY p.policy";

std::string days(const pg::Cell& seconds)
{
    const double number = static_cast<double>(pg::to_int64(seconds)) / (24 * 60 * 60);
    const std::string text = std::to_string(number);
    return text.substr(0, text.find('.') + 2) + " days";
}

} // namespace

void check_backlog(pg::Spi& spi, const pg::Extension& extension, const std::vector<PolicyStats>& policies,
                   CheckReport& report)
{
    pg::Rows rows;
    {
        const pg::AsExtensionOwner as_owner(extension);
        rows = spi.run(pg::in_extension_schema(lateness_sql, extension), {}, pg::Access::read_only);
    }
    for (const auto& row : rows) {
        const std::string policy = pg::to_text(row[0]);
        if (std::ranges::none_of(policies, [&](const PolicyStats& stats) { return stats.policy.name == policy; }))
            continue;
        report.add(CheckStatus::warning, "backlog",
                   pg::concat("policy \"", policy, "\": its oldest row was ", days(row[1]), " late at the last run, ",
                              days(row[2]), " late ", pg::to_text(row[3]),
                              " runs before: more becomes due than runs delete"),
                   pg::concat("Run it more often, or without max_rows and max_duration: ",
                              call_text(extension, "cleanup_run", policy)));
    }
    report.otherwise_ok("backlog", "no policy falls further behind from run to run");
}

} // namespace pgcleanup
