#include "extension/tid_plan.h"

#include "pg/settings_scope.h"

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

bool pg_has_tid_plan(SPIPlanPtr plan)
{
    CachedPlan* cached = SPI_plan_get_cached_plan(plan);
    if (cached == nullptr)
        return false;
    const bool found = reaches_target_by_row_id(linitial_node(PlannedStmt, cached->stmt_list)->planTree);
    ReleaseCachedPlan(cached, CurrentResourceOwner);
    return found;
}

void pg_forget_generic_plan(SPIPlanPtr plan)
{
    auto* source = static_cast<CachedPlanSource*>(linitial(SPI_plan_get_plan_sources(plan)));
    if (source->gplan != nullptr)
        source->gplan->is_valid = false;
}

} // namespace

bool ensure_tid_plan(const pg::Plan& plan)
{
    if (pg::pg_call([&] { return pg_has_tid_plan(plan.get()); }))
        return true;
    // Disabled together, the other scans keep their order among themselves, so subqueries of the condition are planned
    // as before; only the target's TID scan, which is not disabled, gains.
    const pg::SettingsScope settings;
    for (const char* scan : {"enable_seqscan", "enable_indexscan", "enable_indexonlyscan", "enable_bitmapscan"})
        settings.set(scan, "off");
    settings.set("enable_tidscan", "on");
    pg::pg_call([&] { pg_forget_generic_plan(plan.get()); });
    return pg::pg_call([&] { return pg_has_tid_plan(plan.get()); });
}

} // namespace pgcleanup
