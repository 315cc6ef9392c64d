#include "extension/dry_run.h"

#include "extension/family_forecast.h"
#include "extension/partition_contents.h"
#include "extension/partition_units.h"
#include "extension/policy_state.h"
#include "extension/relation.h"
#include "extension/row_width.h"
#include "extension/run_checks.h"
#include "extension/set_values.h"
#include "extension/strategy.h"
#include "extension/table_facts.h"
#include "extension/target.h"
#include "extension/warnings.h"
#include "pg/result_set.h"
#include "pg/text.h"

#include <iterator>

namespace pgcleanup {

namespace {

using pg::concat;

pg::Cell timestamp_cell(std::optional<TimestampTz> time)
{
    return time ? pg::Cell(pg::output_text(TimestampTzGetDatum(*time), TIMESTAMPTZOID)) : pg::Cell();
}

struct Counted {
    DueRows due;
    std::int64_t dependent = 0;
    std::int64_t row_bytes = 0; // of what goes
};

DueRows count_leaves(pg::Spi& spi, const Eligibility& eligibility, std::span<const Oid> leaves, Oid owner, bool rows_go)
{
    DueRows due;
    for (const Oid leaf : leaves)
        due += count_due_rows(spi, eligibility, leaf, owner, rows_go);
    return due;
}

// By gathering families, where a run would.
Counted count_families(pg::Spi& spi, const FamilyLinks& links, const Eligibility& eligibility,
                       std::span<const Oid> leaves, Oid owner)
{
    Counted counted{count_leaves(spi, eligibility, leaves, owner, false)};
    const FamilyForecast forecast(spi, eligibility, links, leaves, ForecastDetail::totals);
    counted.due.blocked = forecast.blocked();
    counted.due.blocked_by = forecast.blocked_by();
    counted.dependent = forecast.dependent();
    return counted;
}

// Rows that go one by one.
Counted count_leaves(pg::Spi& spi, const Policy& policy, const Eligibility& eligibility, std::span<const Oid> leaves,
                     Oid owner)
{
    if (updates_rows(policy))
        return {count_leaves(spi, eligibility, leaves, owner, false)};
    const FamilyLinks links(policy, owner);
    if (needs_families(policy, links) || policy.on_reference != "follow")
        return count_families(spi, links, eligibility, leaves, owner);
    Counted counted{count_leaves(spi, eligibility, leaves, owner, true)};
    if (counted.due.going() > 0)
        counted.dependent = count_dependent_rows(spi, eligibility, cascade_of(policy, owner), owner);
    return counted;
}

// A run counts what partitions that go as a whole take on disk, and other rows by their average.
Counted count_rows(pg::Spi& spi, const Policy& policy, const Eligibility& eligibility, const PartitionPlan& plan,
                   Oid owner)
{
    Counted sum = count_leaves(spi, policy, eligibility, plan.leaves, owner);
    if (!updates_rows(policy))
        sum.row_bytes = sum.due.going() * static_cast<std::int64_t>(average_row_bytes(spi, policy.target));
    for (const PartitionUnit& unit : plan.units) {
        for (const Oid leaf : unit.leaves) {
            sum.due += count_due_rows(spi, eligibility, leaf, owner, true);
            sum.row_bytes += stored_bytes(leaf);
        }
    }
    return sum;
}

std::vector<pg::Cell> result_row(const OwnerSession& session, const TaskRequest& request, const Policy& policy)
{
    const std::optional<TimestampTz> cutoff = cutoff_at(policy, request.start, request.retain_text());
    const Eligibility eligibility(policy,
                                  {cutoff.value_or(request.start), request.age_from.get(), request.age_to.get()});
    const std::vector<Oid> leaves = leaves_of(policy.target);
    const Cascade cascade = cascade_with_relations(policy, session.owner);
    const pg::Extension extension = pg::extension();
    pg::Spi spi;
    const PartitionPlan partitions = plan_partitions(policy, eligibility, session.owner);
    const Counted counted = count_rows(spi, policy, eligibility, partitions, session.owner);
    const DueRows& due = counted.due;
    std::optional<RowUpdate> update;
    if (updates_rows(policy))
        update.emplace(policy, request.start, cutoff, request.retain_text() ? request.retain_text() : policy.retain);
    std::vector<std::string> warnings = warnings_of(
        spi, {extension, policy, session.owner, leaves, eligibility, cascade, due, update ? &*update : nullptr});
    std::ranges::move(partitions.warnings(), std::back_inserter(warnings));
    return {
        policy.name,
        std::to_string(policy.target), // regclass takes a number: no name to find in the caller's search_path
        policy.action,
        strategy_name(!partitions.units.empty(), plan_leaves(eligibility, partitions.leaves)),
        timestamp_cell(cutoff),
        std::to_string(due.eligible),
        "0", // holds come with their own feature
        std::to_string(due.blocked),
        std::to_string(counted.dependent),
        "0", // files too
        std::to_string(counted.row_bytes),
        timestamp_cell(due.oldest),
        timestamp_cell(due.newest),
        pg::text_array_cell(warnings),
    };
}

} // namespace

void require_ready(const Policy& policy)
{
    const PolicyState state = policy_state(policy, true);
    if (state.condition == PolicyCondition::ready)
        return;
    pg::raise(
        {.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
         .message = concat("policy \"", policy.name, "\" on ", policy.target_name, " is ", state_name(state.condition)),
         .detail = state.reason,
         .hint = state.remedy});
}

void require_owner(const OwnerSession& session, const Policy& policy)
{
    if (target_owner(policy.target) == session.owner)
        return;
    pg::raise({.sqlstate = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
               .message = concat("table ", policy.target_name, " got another owner meanwhile"),
               .hint = "Try again."});
}

void dry_run_policy(const OwnerSession& session, const TaskRequest& request, const Policy& policy, TaskReply& reply)
{
    OwnerTransaction transaction(session, reading_lock_wait, pg::Access::read_only);
    require_ready(policy);
    require_owner(session, policy);
    verify_meaning(policy, policy.target);
    reply.row(result_row(session, request, policy));
    transaction.commit();
}

} // namespace pgcleanup
