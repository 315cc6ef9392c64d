#include "extension/partition_bounds.h"

#include "pg/settings_scope.h"
#include "pg/text.h"
#include "pg/version.h"

extern "C" {
#include "optimizer/prep.h"
#include "utils/partcache.h"
#include "utils/plancache.h"
}

namespace pgcleanup {

using pg::concat;
using pg::pg_call;

namespace {

// The expression with its parameters' values in their places.
Node* pg_with_values(Node* node, void* context)
{
    if (node == nullptr)
        return nullptr;
    if (IsA(node, Param)) {
        auto* values = static_cast<ParamListInfo>(context);
        const auto* parameter = reinterpret_cast<const Param*>(node);
        const ParamExternData& value = values->params[parameter->paramid - 1];
        int16 length = 0;
        bool by_value = false;
        get_typlenbyval(parameter->paramtype, &length, &by_value);
        return reinterpret_cast<Node*>(
            makeConst(parameter->paramtype, -1, parameter->paramcollid, length, value.value, value.isnull, by_value));
    }
    return pg::copy_expression(node, pg_with_values, context);
}

// The age test as a list of conditions, in the order in which it is written.
List* pg_age_test(SPIPlanPtr plan, ParamListInfo values)
{
    auto* source = static_cast<CachedPlanSource*>(linitial(SPI_plan_get_plan_sources(plan)));
    const auto* query = linitial_node(Query, source->query_list);
    Node* test = eval_const_expressions(nullptr, pg_with_values(query->jointree->quals, values));
    return make_ands_implicit(canonicalize_qual(reinterpret_cast<Expr*>(test), false));
}

// As the planner prepares it (plancat.c).
List* pg_partition_constraint(Oid relation)
{
    Relation opened = relation_open(relation, AccessShareLock);
    auto* constraint = reinterpret_cast<Expr*>(RelationGetPartitionQual(opened));
    relation_close(opened, NoLock);
    return constraint == nullptr ? NIL : reinterpret_cast<List*>(expression_planner(constraint));
}

BoundsVerdict pg_judge(List* test, List* constraint)
{
    if (constraint == NIL)
        return BoundsVerdict::unknown;
    if (predicate_implied_by(test, constraint, false))
        return BoundsVerdict::all_due;
    if (predicate_refuted_by(test, constraint, true))
        return BoundsVerdict::none_due;
    // Its first condition is the upper bound.
    return predicate_implied_by(list_make1(linitial(test)), constraint, false) ? BoundsVerdict::past
                                                                               : BoundsVerdict::unknown;
}

} // namespace

BoundsVerdict judge_bounds(const Eligibility& eligibility, Oid relation)
{
    if (!eligibility.age_column())
        return BoundsVerdict::unknown;
    pg::Parameters parameters;
    eligibility.add_parameters(parameters);
    pg::Spi spi;
    const pg::Plan plan(
        concat("SELECT FROM ", pg::relation_name(relation), " AS target WHERE ", eligibility.age_test(1)),
        parameters.types());
    return pg_call([&] {
        return pg_judge(pg_age_test(plan.get(), pg::pg_parameter_list(parameters)), pg_partition_constraint(relation));
    });
}

bool holds_rows_that_stay(const Eligibility& eligibility, Oid leaf)
{
    pg::Parameters parameters;
    eligibility.add_parameters(parameters);
    pg::Spi spi;
    return !spi.run(concat("SELECT FROM ONLY ", pg::relation_name(leaf), " AS target WHERE (", eligibility.age_test(1),
                           ") IS NOT TRUE LIMIT 1"),
                    parameters)
                .empty();
}

bool holds_rows_that_stay(const Eligibility& eligibility, Oid leaf, core::BlockRange blocks)
{
    ItemPointerData begin;
    ItemPointerData end;
    ItemPointerSet(&begin, blocks.begin, 0);
    ItemPointerSet(&end, blocks.end, 0);
    pg::Parameters parameters;
    eligibility.add_parameters(parameters);
    const int first = 1 + eligibility.parameter_count();
    parameters.value(TIDOID, PointerGetDatum(&begin)).value(TIDOID, PointerGetDatum(&end));
    // Without it each part would read the whole table.
    const pg::SettingsScope settings;
    settings.set("enable_tidscan", "on");
    pg::Spi spi;
    return !spi.run(concat("SELECT FROM ONLY ", pg::relation_name(leaf),
                           " AS target WHERE target.ctid OPERATOR(pg_catalog.>=) $", first,
                           " AND target.ctid OPERATOR(pg_catalog.<) $", first + 1, " AND (", eligibility.age_test(1),
                           ") IS NOT TRUE LIMIT 1"),
                    parameters)
                .empty();
}

} // namespace pgcleanup
