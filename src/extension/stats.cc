#include "extension/stats.h"

#include "extension/arguments.h"
#include "extension/brief_look.h"
#include "extension/eligibility.h"
#include "extension/next_run.h"
#include "extension/oldest_row.h"
#include "extension/pause.h"
#include "extension/rights.h"
#include "extension/table_facts.h"
#include "pg/result_set.h"
#include "pg/settings_scope.h"
#include "pg/text.h"

namespace pgcleanup {

namespace {

std::int64_t total_bytes(Oid table)
{
    std::int64_t bytes = 0;
    for (const Oid leaf : leaves_of(table))
        bytes += pg::pg_call(
            [&] { return DatumGetInt64(DirectFunctionCall1(pg_total_relation_size, ObjectIdGetDatum(leaf))); });
    return bytes;
}

// How long ago the oldest row became due.
void set_overdue(pg::Spi& spi, const pg::Extension& extension, PolicyStats& stats)
{
    const std::optional<TimestampTz> cutoff =
        cutoff_at(stats.policy, GetCurrentTransactionStartTimestamp(), std::nullopt);
    const pg::AsExtensionOwner as_owner(extension);
    const pg::Rows rows = spi.run("SELECT late, extract(epoch FROM late) FROM (SELECT $1 - $2::timestamptz AS late) l "
                                  "WHERE late > '0'",
                                  pg::Parameters().timestamp(cutoff).text(stats.oldest_row), pg::Access::read_only);
    if (rows.empty())
        return;
    stats.overdue = rows[0][0];
    stats.overdue_seconds = pg::to_double(rows[0][1]);
}

pg::Cell now_in_iso(pg::Spi& spi, const pg::Extension& extension)
{
    const pg::AsExtensionOwner as_owner(extension);
    return spi.run("SELECT now()", {}, pg::Access::read_only)[0][0];
}

void set_oldest(pg::Spi& spi, const pg::Extension& extension, PolicyStats& stats)
{
    look_briefly([&] {
        if (const std::optional<OldestRow> oldest = oldest_row(spi, stats.policy)) {
            stats.oldest_row = oldest->age;
            stats.as_of = now_in_iso(spi, extension);
        }
    });
    // What a run that succeeded met is gone since, so it is not overdue.
    const bool is_history = !stats.as_of;
    if (is_history) {
        stats.oldest_row = stats.history.oldest;
        stats.as_of = stats.history.oldest_at;
    }
    if (stats.oldest_row && !(is_history && stats.history.last_status == "succeeded"))
        look_briefly([&] { set_overdue(spi, extension, stats); });
}

pg::Cell next_run_at(const NextRuns& next_runs, const Policy& policy)
{
    const std::optional<core::Instant> next = next_runs.of(policy);
    if (!next)
        return std::nullopt;
    const pg::SettingsScope settings;
    settings.set(pg::language_settings());
    return pg::output_text(TimestampTzGetDatum(to_timestamp(*next)), TIMESTAMPTZOID);
}

PolicyStats stats_of(pg::Spi& spi, const pg::Extension& extension, const Policy& policy, const PolicyHistory& history)
{
    PolicyStats stats;
    stats.policy = policy;
    stats.history = history;
    if (OidIsValid(policy.target)) {
        look_briefly([&] { stats.state = policy_state(policy, true); });
        look_briefly([&] {
            stats.table_rows = static_cast<std::int64_t>(estimated_rows(policy.target));
            stats.table_bytes = total_bytes(policy.target);
        });
        set_oldest(spi, extension, stats);
    } else {
        stats.state = policy_state(policy, true);
    }
    return stats;
}

std::vector<Policy> visible_policies(pg::Spi& spi, const pg::Extension& extension, const std::string& name, Oid role)
{
    const Rights rights(spi, extension, role);
    if (name != every_policy)
        return {find_policy_for(spi, extension, name, rights, Right::see)};
    std::vector<Policy> policies = all_policies(spi, extension);
    std::erase_if(policies, [&](const Policy& policy) { return !rights.may(Right::see, policy); });
    return policies;
}

pg::Cell number(std::int64_t value)
{
    return std::to_string(value);
}

pg::Cell number(const std::optional<std::int64_t>& value)
{
    return value ? pg::Cell(std::to_string(*value)) : std::nullopt;
}

std::vector<pg::Cell> result_row(const PolicyStats& stats, bool paused)
{
    const pg::Cell no_files = "0"; // nothing removes files yet
    const PolicyHistory& history = stats.history;
    return {stats.policy.name,
            OidIsValid(stats.policy.target) ? pg::Cell(std::to_string(stats.policy.target)) : std::nullopt,
            stats.policy.enabled ? "t" : "f",
            state_word(stats, paused),
            number(history.runs),
            number(history.rows),
            number(history.dependent_rows),
            number(history.row_bytes),
            no_files,
            no_files,
            no_files,
            no_files,
            history.last_run_at,
            history.last_status,
            history.last_error,
            stats.next_run_at,
            stats.oldest_row,
            stats.overdue,
            number(stats.table_rows),
            number(stats.table_bytes),
            stats.as_of};
}

void cleanup_stats(FunctionCallInfo fcinfo)
{
    const std::string name = policy_argument(fcinfo, 0);
    const pg::ResultSet result(fcinfo);
    pg::Spi spi;
    const pg::Extension extension = pg::extension();
    const bool paused = current_pause(spi, extension).has_value();
    for (const PolicyStats& stats : policy_stats(spi, extension, name, GetUserId()))
        result.row(result_row(stats, paused));
}

} // namespace

const char* state_word(const PolicyStats& stats, bool paused)
{
    if (stats.history.is_running())
        return "running";
    if (stats.state.condition != PolicyCondition::ready)
        return state_name(stats.state.condition);
    if (!stats.policy.enabled)
        return state_name(PolicyCondition::disabled);
    return paused ? "paused" : state_name(PolicyCondition::ready);
}

std::vector<PolicyStats> policy_stats(pg::Spi& spi, const pg::Extension& extension, const std::string& name, Oid role)
{
    const std::vector<Policy> policies = visible_policies(spi, extension, name, role);
    PolicyHistories histories = policy_histories(spi, extension);
    const NextRuns next_runs(spi, extension);
    std::vector<PolicyStats> all;
    all.reserve(policies.size());
    for (const Policy& policy : policies) {
        all.push_back(stats_of(spi, extension, policy, histories[policy.id]));
        all.back().next_run_at = next_run_at(next_runs, policy);
    }
    return all;
}

} // namespace pgcleanup

extern "C" {
PG_FUNCTION_INFO_V1(cleanup_stats);
Datum cleanup_stats(PG_FUNCTION_ARGS)
{
    return pgcleanup::pg::pg_entry([&] {
        pgcleanup::cleanup_stats(fcinfo);
        return static_cast<Datum>(0);
    });
}
}
