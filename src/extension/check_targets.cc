#include "extension/check.h"

#include "extension/brief_look.h"
#include "extension/relation.h"
#include "extension/table_facts.h"
#include "extension/target.h"
#include "extension/warnings.h"

namespace pgcleanup {

namespace {

// What a dry run would say of the target, as far as it can be said without counting.
struct TargetWarnings {
    std::string policy;
    Warnings age_index;
    Warnings reference_index;
    Warnings foreign_triggers;
};

void collect(pg::Spi& spi, const pg::Extension& extension, const Policy& policy, TargetWarnings& found)
{
    const Oid owner = target_owner(policy.target);
    const AsOwnerOf as_owner(policy, owner);
    const TimestampTz now = GetCurrentTransactionStartTimestamp();
    const Eligibility eligibility(policy, {cutoff_at(policy, now, std::nullopt).value_or(now), {}, {}});
    const std::vector<Oid> leaves = leaves_of(policy.target);
    const Cascade cascade = cascade_with_relations(policy, owner);
    const DueRows not_counted;
    const DryRunFacts facts{extension, policy, owner, leaves, eligibility, cascade, not_counted, nullptr};
    warn_of_missing_age_index(spi, facts, found.age_index);
    warn_of_missing_group_index(spi, facts, found.age_index);
    warn_of_unindexed_references(facts, found.reference_index);
    warn_of_foreign_triggers(spi, facts, found.foreign_triggers);
}

std::vector<TargetWarnings> warnings_of_targets(pg::Spi& spi, const pg::Extension& extension,
                                                const std::vector<PolicyStats>& policies)
{
    std::vector<TargetWarnings> all;
    for (const PolicyStats& stats : policies) {
        if (!stats.policy.enabled || stats.state.condition != PolicyCondition::ready)
            continue;
        all.push_back({stats.policy.name, {}, {}, {}});
        look_briefly([&] { collect(spi, extension, stats.policy, all.back()); });
    }
    return all;
}

// Where the statement begins that a warning ends with.
std::size_t statement_in(const std::string& warning)
{
    for (const char* statement : {"CREATE INDEX ", "ALTER TABLE "}) {
        if (const std::size_t at = warning.find(statement); at != std::string::npos)
            return at;
    }
    return warning.size();
}

// What makes a run fail before it has begun.
bool is_error(const std::string& warning)
{
    return warning.starts_with("A run now would be refused");
}

void report_each(const std::string& name, const std::vector<TargetWarnings>& targets, Warnings TargetWarnings::*list,
                 CheckReport& report)
{
    for (const TargetWarnings& target : targets) {
        for (const std::string& warning : target.*list) {
            const std::size_t statement = statement_in(warning);
            std::string detail = pg::concat("policy \"", target.policy, "\": ", warning.substr(0, statement));
            detail.erase(detail.find_last_not_of(" .:") + 1);
            report.add(is_error(warning) ? CheckStatus::error : CheckStatus::warning, name, std::move(detail),
                       warning.substr(statement));
        }
    }
}

} // namespace

void check_targets(pg::Spi& spi, const pg::Extension& extension, const std::vector<PolicyStats>& policies,
                   CheckReport& report)
{
    const std::vector<TargetWarnings> targets = warnings_of_targets(spi, extension, policies);
    report_each("age_index", targets, &TargetWarnings::age_index, report);
    report.otherwise_ok("age_index", "every large target has an index on its age, or another that serves");
    report_each("reference_index", targets, &TargetWarnings::reference_index, report);
    report.otherwise_ok("reference_index", "every reference that a run meets has an index");
    report_each("foreign_triggers", targets, &TargetWarnings::foreign_triggers, report);
    report.otherwise_ok("foreign_triggers", "no run would carry out other roles' code as a superuser");
}

} // namespace pgcleanup
