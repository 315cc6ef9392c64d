#include "extension/builtin_code.h"

#include "pg/version.h"

extern "C" {
#include "access/transam.h"
#include "utils/plancache.h"
}

namespace pgcleanup {

namespace {

// The callbacks of tree walkers: true stops the walk, "found one". They may longjmp.

bool pg_is_foreign_function(Oid function, void* /*context*/)
{
    return function >= FirstGenbkiObjectId;
}

bool pg_has_foreign_code(Node* node, void* context)
{
    if (node == nullptr)
        return false;
    if (IsA(node, SubLink) || IsA(node, CoerceToDomain) ||
        check_functions_in_node(node, pg_is_foreign_function, context))
        return true;
    if (IsA(node, Query))
        return pg::walk_query(reinterpret_cast<Query*>(node), pg_has_foreign_code, context);
    return pg::walk_expression(node, pg_has_foreign_code, context);
}

bool pg_plan_has_foreign_code(SPIPlanPtr plan)
{
    ListCell* source = nullptr;
    foreach (source, SPI_plan_get_plan_sources(plan)) {
        ListCell* query = nullptr;
        foreach (query, static_cast<CachedPlanSource*>(lfirst(source))->query_list) {
            if (pg_has_foreign_code(static_cast<Node*>(lfirst(query)), nullptr))
                return true;
        }
    }
    return false;
}

} // namespace

bool runs_builtin_code_only(const pg::Plan& plan)
{
    return !pg::pg_call([&] { return pg_plan_has_foreign_code(plan.get()); });
}

} // namespace pgcleanup
