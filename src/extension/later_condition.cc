#include "extension/later_condition.h"

#include "extension/expression_tree.h"
#include "pg/version.h"

extern "C" {
#include "utils/fmgroids.h"
}

namespace pgcleanup {

using pg::pg_call;

namespace {

struct Later {
    std::int64_t microseconds;
    bool found;
};

// How an interval is added to what the node yields; InvalidOid when it is not the time.
Oid addition_for(const Node* node)
{
    if (IsA(node, FuncExpr)) {
        const Oid function = reinterpret_cast<const FuncExpr*>(node)->funcid;
        const bool is_time =
            function == F_NOW || function == F_TRANSACTION_TIMESTAMP || function == F_STATEMENT_TIMESTAMP;
        return is_time ? F_TIMESTAMPTZ_PL_INTERVAL : InvalidOid;
    }
    if (!IsA(node, SQLValueFunction))
        return InvalidOid;
    switch (reinterpret_cast<const SQLValueFunction*>(node)->op) {
    case SVFOP_CURRENT_TIMESTAMP:
    case SVFOP_CURRENT_TIMESTAMP_N:
        return F_TIMESTAMPTZ_PL_INTERVAL;
    case SVFOP_LOCALTIMESTAMP:
    case SVFOP_LOCALTIMESTAMP_N:
        return F_TIMESTAMP_PL_INTERVAL;
    default:
        return InvalidOid;
    }
}

Node* pg_moved_ahead(Node* node, Oid addition, std::int64_t microseconds)
{
    auto* interval = static_cast<Interval*>(palloc0(sizeof(Interval)));
    interval->time = microseconds;
    Const* margin = makeConst(INTERVALOID, -1, InvalidOid, sizeof(Interval), IntervalPGetDatum(interval), false, false);
    List* arguments = list_make2(copyObjectImpl(node), margin);
    return reinterpret_cast<Node*>(
        makeFuncExpr(addition, exprType(node), arguments, InvalidOid, InvalidOid, COERCE_EXPLICIT_CALL));
}

Node* pg_later(Node* node, void* context)
{
    if (node == nullptr)
        return nullptr;
    check_stack_depth();
    if (IsA(node, Query))
        return reinterpret_cast<Node*>(pg::copy_query(reinterpret_cast<Query*>(node), pg_later, context));
    const Oid addition = addition_for(node);
    if (!OidIsValid(addition))
        return pg::copy_expression(node, pg_later, context);
    auto* later = static_cast<Later*>(context);
    later->found = true;
    return pg_moved_ahead(node, addition, later->microseconds);
}

} // namespace

std::string condition_later(Oid relation, const std::string& canonical, std::int64_t microseconds)
{
    const CanonicalSettings settings;
    ExpressionTree expression = read_canonical_condition(relation, canonical);
    Later later{microseconds, false};
    const char* text = pg_call([&] {
        expression.tree = pg_later(expression.tree, &later);
        return pg_print_expression(expression, {relation});
    });
    return later.found ? text : canonical;
}

} // namespace pgcleanup
