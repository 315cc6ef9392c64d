#include "extension/tid_plan.h"

#include "pg/settings_scope.h"

#include <array>
#include <span>

extern "C" {
#include "nodes/plannodes.h"
#include "utils/plancache.h"
}

namespace pgcleanup {

namespace {

// Follows the outer side down to the scan of the target; a condition that is always false leaves a Result without one.
bool reaches_target_by_row_id(const ::Plan* node)
{
    while (outerPlan(node) != nullptr)
        node = outerPlan(node);
    return IsA(node, TidScan) || IsA(node, TidRangeScan) || IsA(node, Result);
}

// What is deleted in a WITH has a plan of its own for each table.
bool is_by_row_id(const PlannedStmt* statement)
{
    const ListCell* cell = nullptr;
    foreach (cell, statement->subplans) {
        const auto* part = static_cast<const ::Plan*>(lfirst(cell));
        if (part != nullptr && IsA(part, ModifyTable) &&
            reinterpret_cast<const ModifyTable*>(part)->operation == CMD_DELETE && !reaches_target_by_row_id(part))
            return false;
    }
    return reaches_target_by_row_id(statement->planTree);
}

// What is looked at in a plan.
struct PlanFacts {
    bool by_row_id;
    int generation;
};

CachedPlanSource* source_of(SPIPlanPtr plan)
{
    return static_cast<CachedPlanSource*>(linitial(SPI_plan_get_plan_sources(plan)));
}

// Plans when there is no valid plan.
PlanFacts pg_look_at(SPIPlanPtr plan)
{
    CachedPlan* cached = SPI_plan_get_cached_plan(plan);
    if (cached == nullptr)
        return {false, -1};
    const bool found = is_by_row_id(linitial_node(PlannedStmt, cached->stmt_list));
    ReleaseCachedPlan(cached, CurrentResourceOwner);
    return {found, source_of(plan)->generation};
}

PlanFacts plan_without(const pg::Plan& plan, std::span<const char* const> scans)
{
    const pg::SettingsScope settings;
    for (const char* scan : scans)
        settings.set(scan, "off");
    settings.set("enable_tidscan", "on");
    return pg::pg_call([&] {
        if (CachedPlan* generic = source_of(plan.get())->gplan; generic != nullptr)
            generic->is_valid = false;
        return pg_look_at(plan.get());
    });
}

// A probe asks for one row, and where a few values make up a referencing column the planner expects to meet one at once
// in any scan; but a row that may go is one that nothing references, and each probe would read the whole table.
constexpr std::array<const char*, 1> scans_bad_for_probes{"enable_seqscan"};

// Disabled together, the other scans keep their order among themselves, so subqueries of the condition are planned as
// before; only the target's TID scan, which is not disabled, gains.
constexpr std::array<const char*, 4> other_scans{"enable_seqscan", "enable_indexscan", "enable_indexonlyscan",
                                                 "enable_bitmapscan"};

} // namespace

bool TidPlan::ensure()
{
    PlanFacts facts = pg::pg_call([&] { return pg_look_at(plan_.get()); });
    if (facts.by_row_id && (!probes_ || facts.generation == generation_))
        return true;
    if (probes_)
        facts = plan_without(plan_, scans_bad_for_probes);
    if (!facts.by_row_id)
        facts = plan_without(plan_, other_scans);
    generation_ = facts.generation;
    return facts.by_row_id;
}

} // namespace pgcleanup
