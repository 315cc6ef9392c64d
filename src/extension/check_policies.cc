#include "extension/check.h"

namespace pgcleanup {

namespace {

constexpr double seconds_a_day = 24.0 * 60 * 60;

std::string about(const PolicyStats& stats)
{
    return pg::concat("policy \"", stats.policy.name, "\": ");
}

bool can_run(const PolicyStats& stats)
{
    return stats.policy.enabled && stats.state.condition == PolicyCondition::ready;
}

void check_state(const PolicyStats& stats, CheckReport& report)
{
    // Who disabled it knows that it does not run.
    const CheckStatus status = stats.policy.enabled ? CheckStatus::error : CheckStatus::warning;
    switch (stats.state.condition) {
    case PolicyCondition::broken:
    case PolicyCondition::unbound:
        return report.add(status, "policy_state",
                          pg::concat(about(stats), state_name(stats.state.condition), ": ", stats.state.reason),
                          stats.state.remedy);
    default:
        break;
    }
}

// Another run alone does not help rows that something keeps: the audit says what that is.
std::string rows_left_behind(const pg::Extension& extension, const PolicyStats& stats)
{
    return pg::concat("SELECT details->'skipped' FROM ", qualified(extension, "cleanup_audit"),
                      " WHERE event = 'run' AND run_id = ", stats.history.last_run.value_or(0),
                      " AND policy_id = ", stats.policy.id, ";");
}

void check_last_run(const pg::Extension& extension, const PolicyStats& stats, CheckReport& report)
{
    const PolicyHistory& history = stats.history;
    const std::string run_it = call_text(extension, "cleanup_run", stats.policy.name);
    if (!history.last_status) {
        report.add(CheckStatus::warning, "last_run", pg::concat(about(stats), "it has never run"), run_it);
        return;
    }
    const std::string& status = *history.last_status;
    if (status == "succeeded" || status == "running")
        return;
    const std::string message = history.last_error ? pg::concat(": ", *history.last_error) : std::string();
    report.add(status == "failed" ? CheckStatus::error : CheckStatus::warning, "last_run",
               pg::concat(about(stats), "the last run was ", status, message),
               status == "partial" ? pg::concat(rows_left_behind(extension, stats), " -- then again: ", run_it)
                                   : run_it);
}

void check_overdue(const pg::Extension& extension, const PolicyStats& stats, CheckReport& report)
{
    const auto days = static_cast<std::int64_t>(stats.overdue_seconds.value_or(0) / seconds_a_day);
    if (days > 0)
        report.add(
            CheckStatus::warning, "overdue",
            pg::concat(about(stats), "rows are still there that were due ", days, days == 1 ? " day" : " days", " ago"),
            call_text(extension, "cleanup_run", stats.policy.name));
}

} // namespace

void check_policies(const pg::Extension& extension, const std::vector<PolicyStats>& policies, CheckReport& report)
{
    for (const PolicyStats& stats : policies)
        check_state(stats, report);
    report.otherwise_ok("policy_state",
                        pg::concat("every policy means what it meant when it was made (", policies.size(), " in all)"));
    for (const PolicyStats& stats : policies) {
        if (can_run(stats))
            check_last_run(extension, stats, report);
    }
    report.otherwise_ok("last_run", "the last run of each enabled policy succeeded");
    for (const PolicyStats& stats : policies) {
        if (can_run(stats))
            check_overdue(extension, stats, report);
    }
    report.otherwise_ok("overdue", "no policy is more than a day behind, as far as indexes and runs tell");
}

} // namespace pgcleanup
