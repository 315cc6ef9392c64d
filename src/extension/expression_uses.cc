#include "extension/expression_uses.h"

#include "pg/version.h"

namespace pgcleanup {

namespace {

bool pg_walk(Node* node, void* context);

void pg_add_columns(ExpressionUses* uses, Oid relation, const Bitmapset* columns)
{
    uses->relations = lappend_oid(uses->relations, relation);
    for (int member = bms_next_member(columns, -1); member >= 0; member = bms_next_member(columns, member)) {
        uses->column_relations = lappend_oid(uses->column_relations, relation);
        uses->column_numbers = lappend_int(uses->column_numbers, member + FirstLowInvalidHeapAttributeNumber);
    }
}

bool pg_add_function(Oid function, void* context)
{
    auto* uses = static_cast<ExpressionUses*>(context);
    uses->functions = lappend_oid(uses->functions, function);
    if (!OidIsValid(uses->volatile_function) && func_volatile(function) == PROVOLATILE_VOLATILE)
        uses->volatile_function = function;
    return false;
}

// Default arguments are filled in when a statement is planned, so they do not show in the tree.
void pg_add_default_arguments(ExpressionUses* uses, const FuncExpr* call)
{
    HeapTuple tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));
    if (!HeapTupleIsValid(tuple))
        elog(ERROR, "cache lookup failed for function %u", call->funcid);
    auto* form = reinterpret_cast<Form_pg_proc>(GETSTRUCT(tuple));
    if (list_length(call->args) < form->pronargs) {
        bool is_null = false;
        const Datum defaults = SysCacheGetAttr(PROCOID, tuple, Anum_pg_proc_proargdefaults, &is_null);
        if (!is_null)
            pg_walk(static_cast<Node*>(stringToNode(TextDatumGetCString(defaults))), uses);
    }
    ReleaseSysCache(tuple);
}

void pg_add_relation(ExpressionUses* uses, const Query* query, RangeTblEntry* entry)
{
    pg_add_columns(uses, entry->relid, pg::selected_columns(entry, pg::permissions_of(query)));
    if (entry->tablesample != nullptr)
        uses->samples = true;
    if (get_rel_persistence(entry->relid) == RELPERSISTENCE_TEMP)
        uses->temporary_relation = entry->relid;
    // A view's own query names the view again.
    if (get_rel_relkind(entry->relid) == RELKIND_VIEW && !list_member_oid(uses->views, entry->relid)) {
        uses->views = lappend_oid(uses->views, entry->relid);
        Relation view = relation_open(entry->relid, AccessShareLock);
        pg_walk(reinterpret_cast<Node*>(copyObjectImpl(get_view_query(view))), uses);
        relation_close(view, NoLock);
    }
}

bool pg_walk_query(Query* query, ExpressionUses* uses)
{
    if (query->commandType != CMD_SELECT || query->rowMarks != NIL || query->hasModifyingCTE)
        uses->locks_or_writes = true;
    for (int i = 0; i < list_length(query->rtable); ++i) {
        auto* entry = static_cast<RangeTblEntry*>(list_nth(query->rtable, i));
        if (entry->rtekind == RTE_RELATION)
            pg_add_relation(uses, query, entry);
    }
    return pg::walk_query(query, pg_walk, uses);
}

void pg_add_constant(ExpressionUses* uses, const Const* constant)
{
    uses->types = lappend_oid(uses->types, constant->consttype);
    if (!constant->constisnull && get_typtype(getBaseType(constant->consttype)) == TYPTYPE_ENUM)
        uses->enum_values = lappend_oid(uses->enum_values, DatumGetObjectId(constant->constvalue));
    if (!constant->constisnull && constant->consttype == REGCLASSOID)
        uses->relations = lappend_oid(uses->relations, DatumGetObjectId(constant->constvalue));
}

void pg_add_node(ExpressionUses* uses, Node* node)
{
    switch (nodeTag(node)) {
    case T_OpExpr:
    case T_DistinctExpr:
    case T_NullIfExpr:
        uses->operators = lappend_oid(uses->operators, reinterpret_cast<OpExpr*>(node)->opno);
        break;
    case T_ScalarArrayOpExpr:
        uses->operators = lappend_oid(uses->operators, reinterpret_cast<ScalarArrayOpExpr*>(node)->opno);
        break;
    case T_RowCompareExpr:
        uses->operators = list_concat_copy(uses->operators, reinterpret_cast<RowCompareExpr*>(node)->opnos);
        break;
    case T_SortGroupClause:
        uses->operators = lappend_oid(uses->operators, reinterpret_cast<SortGroupClause*>(node)->eqop);
        break;
    case T_Const:
        pg_add_constant(uses, reinterpret_cast<Const*>(node));
        break;
    case T_CollateExpr:
        uses->collations = lappend_oid(uses->collations, reinterpret_cast<CollateExpr*>(node)->collOid);
        break;
    case T_NextValueExpr:
        uses->takes_number = true;
        break;
    case T_FuncExpr:
        pg_add_default_arguments(uses, reinterpret_cast<FuncExpr*>(node));
        [[fallthrough]];
    case T_RelabelType:
    case T_CoerceViaIO:
    case T_ArrayCoerceExpr:
    case T_ConvertRowtypeExpr:
    case T_CoerceToDomain:
    case T_ArrayExpr:
    case T_RowExpr:
    case T_Aggref:
        uses->types = lappend_oid(uses->types, exprType(node));
        break;
    default:
        break;
    }
    const Oid collation = exprInputCollation(node);
    if (OidIsValid(collation))
        uses->collations = lappend_oid(uses->collations, collation);
}

bool pg_walk(Node* node, void* context)
{
    if (node == nullptr)
        return false;
    check_stack_depth();
    auto* uses = static_cast<ExpressionUses*>(context);
    if (IsA(node, Query))
        return pg_walk_query(reinterpret_cast<Query*>(node), uses);
    check_functions_in_node(node, pg_add_function, uses);
    pg_add_node(uses, node);
    return pg::walk_expression(node, pg_walk, context);
}

} // namespace

void pg_collect_uses(const ExpressionTree& expression, Oid target, ExpressionUses* uses)
{
    if (OidIsValid(target))
        pg_add_columns(uses, target, expression.target_columns);
    pg_walk(expression.tree, uses);
}

} // namespace pgcleanup
