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

bool pg_may_read(Oid function, void* /*context*/)
{
    return function >= FirstGenbkiObjectId && func_volatile(function) != PROVOLATILE_IMMUTABLE;
}

bool pg_reads_other_rows(Node* node, void* context)
{
    if (node == nullptr)
        return false;
    if (IsA(node, SubLink) || IsA(node, CoerceToDomain) || check_functions_in_node(node, pg_may_read, context))
        return true;
    if (IsA(node, Query))
        return pg::walk_query(reinterpret_cast<Query*>(node), pg_reads_other_rows, context);
    return pg::walk_expression(node, pg_reads_other_rows, context);
}

bool pg_any_query(SPIPlanPtr plan, bool (*test)(Node*, void*))
{
    ListCell* source = nullptr;
    foreach (source, SPI_plan_get_plan_sources(plan)) {
        ListCell* query = nullptr;
        foreach (query, static_cast<CachedPlanSource*>(lfirst(source))->query_list) {
            if (test(static_cast<Node*>(lfirst(query)), nullptr))
                return true;
        }
    }
    return false;
}

} // namespace

bool runs_builtin_code_only(const pg::Plan& plan)
{
    return !pg::pg_call([&] { return pg_any_query(plan.get(), pg_has_foreign_code); });
}

bool may_read_other_rows(const pg::Plan& plan)
{
    return pg::pg_call([&] { return pg_any_query(plan.get(), pg_reads_other_rows); });
}

} // namespace pgcleanup
